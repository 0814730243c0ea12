"""Another installed version of nerbert with the same cache folder, by turns and at once: each makes its own as before.

`pytest -n0 -m nightly tests/faults/test_two_versions.py --other-python=OTHER/bin/python`, where another version is
installed there with `nerbert[train,annotate,benchmark]`, of the same versions of torch and transformers.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.annotate.model_server import ModelServer, serving
from tests.commands import python
from tests.faults.harness import ROOT, differing, outcome

JOBS = {
    "pre-training": (
        "corpus build ../inputs/wiki.xml --knowledge ../inputs/knowledge -o corpus --set min_mentions=2",
        "pretrain ../inputs/tagging.toml -o tagging --set corpus=corpus",
        "pretrain ../inputs/self_training.toml -o self-training --set corpus=corpus",
    ),
    "labels": ("tag embedded-open ../inputs/texts/0.txt -o labels.jsonl --labels ship,person,port",),
    "benchmark": ("benchmark ../inputs/suite.toml --data ../inputs/data -o ../{store}",),
    "answers": (
        "annotate ../inputs/texts/0.txt -o asked.jsonl --endpoint {address} --model m --concurrency 1",
    ),
}  # fmt: skip
"""Each fills and reads a cache of its own kind, or a store that both are given."""


class SharedDesk:
    """A folder in which both versions run the commands of a job."""

    def __init__(self, folder: Path, job: str, other: str, server: ModelServer) -> None:
        self.folder, self.server, self._commands = folder, server, JOBS[job]
        self._pythons = {"this": (python(), str(ROOT)), "other": (other, "")}

    def start(self, version: str, run: str, cache: str, store: str) -> "subprocess.Popen[bytes]":
        """Start the job with a version, in a folder of its own."""
        binary, path = self._pythons[version]
        place = self.folder / run
        (place / "tmp").mkdir(parents=True)
        jobs = " && ".join(f"'{binary}' -m nerbert {each}" for each in self._commands)
        command = jobs.format(store=store, address=self.server.address)
        ours = {"XDG_CACHE_HOME": str(self.folder / cache), "PYTHONPATH": path, "TMPDIR": str(place / "tmp"),
                "OMP_NUM_THREADS": "1", "no_proxy": "*"}  # fmt: skip
        with (self.folder / f"{run}.txt").open("wb") as told:
            return subprocess.Popen(["/bin/sh", "-c", command], cwd=place, env=os.environ | ours, stdout=told,
                                    stderr=told)  # fmt: skip

    def end(self, run: str, process: "subprocess.Popen[bytes]") -> dict[str, bytes]:
        """Return what the job left in its folder."""
        assert process.wait() == 0, (self.folder / f"{run}.txt").read_text()[-2000:]
        return outcome(self.folder / run)

    def shared(self, name: str) -> dict[str, bytes]:
        """Return what is in the cache of this name, and in the store."""
        return outcome(self.folder / f"cache-{name}") | outcome(self.folder / f"store-{name}")


@pytest.fixture(params=JOBS)
def desk(
    inputs: Path, pytestconfig: pytest.Config, warm_python: None, request: pytest.FixtureRequest
) -> Iterator[SharedDesk]:
    other = pytestconfig.getoption("other_python")
    if not other:
        pytest.skip("no --other-python")
    with serving() as server, TemporaryDirectory() as folder:  # a short path, in which sockets can be
        shutil.copytree(inputs, Path(folder, "inputs"))
        yield SharedDesk(Path(folder), request.param, other, server)


@pytest.mark.nightly
def test_each_version_makes_what_it_makes_alone(desk: SharedDesk) -> None:
    versions = ("this", "other")
    alone = {each: desk.end(f"{each}-alone", desk.start(each, f"{each}-alone", f"cache-{each}", f"store-{each}"))
             for each in versions}  # fmt: skip
    kept, asked = dict[str, bytes](), 0
    for turn, version in enumerate(versions * 2):
        run = f"{version}-turn-{turn}"
        found = desk.end(run, desk.start(version, run, "cache-turns", "store-turns"))
        assert not differing(found, alone[version])
        now = desk.shared("turns")
        assert not [name for name in kept if kept[name] != now.get(name)], "what the other one made stays as it is"
        assert turn < 2 or kept.keys() == now.keys(), "nothing is made twice"
        assert turn < 2 or asked == len(desk.server.asked), "no text is asked about twice"
        kept, asked = now, len(desk.server.asked)
    scores = [{path.name: json.loads(path.read_text())["scores"] for path in desk.folder.glob(f"store-{each}/cells/*")}
              for each in (*versions, "turns")]  # fmt: skip
    assert scores[2] == scores[0] | scores[1]
    runs = {each: desk.start(each, f"{each}-at-once", "cache-once", f"store-{each}") for each in versions}
    for version, process in runs.items():
        assert not differing(desk.end(f"{version}-at-once", process), alone[version])
    assert not differing(outcome(desk.folder / "cache-once"), outcome(desk.folder / "cache-turns"))
