"""Another installed version of nerbert with the same cache folder, by turns and at once: each makes its own as before.

`pytest -n0 -m slow tests/faults/test_two_versions.py --other-python OTHER/bin/python`, where another version is
installed there with `nerbert[train,annotate,benchmark]`, of the same versions of torch and transformers.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.annotate.model_server import ModelServer, serving
from tests.commands import python
from tests.faults.harness import ROOT, differing, outcome

JOBS = {
    "corpus": "corpus build ../inputs/wiki.xml --knowledge ../inputs/knowledge -o corpus --set min_mentions=2",
    "tagging": "pretrain ../inputs/tagging.toml -o tagging --set corpus=corpus",
    "self-training": "pretrain ../inputs/self_training.toml -o self-training --set corpus=corpus",
    "labels": "tag embedded-open ../inputs/texts/0.txt -o labels.jsonl --labels ship,person,port",
    "benchmark": "benchmark ../inputs/suite.toml --data ../inputs/data -o {store}",
    "annotate": "annotate ../inputs/texts/0.txt -o asked.jsonl --endpoint {address} --model m --concurrency 1",
}
"""Each fills or reads a cache of its own kind, or a store that both are given."""


class Desk:
    """A folder in which both versions run the jobs."""

    def __init__(self, folder: Path, other: str, server: ModelServer) -> None:
        self.folder, self.server = folder, server
        self._pythons = {"this": (python(), str(ROOT)), "other": (other, "")}

    def start(self, version: str, run: str, cache: str, store: str) -> "subprocess.Popen[bytes]":
        """Start all jobs of a version, one after the other, in a folder of its own."""
        binary, path = self._pythons[version]
        place = self.folder / run
        (place / "tmp").mkdir(parents=True)
        jobs = " && ".join(f"'{binary}' -m nerbert {each}" for each in JOBS.values())
        command = jobs.format(store=store, address=self.server.address)
        ours = {"XDG_CACHE_HOME": str(self.folder / cache), "PYTHONPATH": path, "TMPDIR": str(place / "tmp"),
                "OMP_NUM_THREADS": "1", "no_proxy": "*"}  # fmt: skip
        with (self.folder / f"{run}.txt").open("wb") as told:
            return subprocess.Popen(["/bin/sh", "-c", command], cwd=place, env=os.environ | ours, stdout=told,
                                    stderr=told)  # fmt: skip

    def end(self, run: str, process: "subprocess.Popen[bytes]") -> dict[str, bytes]:
        """Return what the jobs left in their folder."""
        assert process.wait() == 0, (self.folder / f"{run}.txt").read_text()[-2000:]
        return outcome(self.folder / run)


@pytest.fixture
def desk(inputs: Path, tmp_path: Path, pytestconfig: pytest.Config, warm_python: None) -> Iterator[Desk]:
    other = pytestconfig.getoption("other_python")
    if not other:
        pytest.skip("no --other-python")
    shutil.copytree(inputs, tmp_path / "inputs")
    with serving() as server:
        yield Desk(tmp_path, other, server)


@pytest.mark.slow
def test_each_version_makes_what_it_makes_alone(desk: Desk) -> None:
    alone = {each: desk.end(f"{each}-alone", desk.start(each, f"{each}-alone", f"cache-{each}", "../store-alone"))
             for each in ("other", "this")}  # fmt: skip
    kept, requests = dict[str, bytes](), 0
    for turn, version in enumerate(("this", "other", "this", "other")):
        run = f"{version}-turn-{turn}"
        found = desk.end(run, desk.start(version, run, "cache-turns", "../store-turns"))
        assert not differing(found, alone[version])
        now = outcome(desk.folder / "cache-turns") | outcome(desk.folder / "store-turns")
        assert not [name for name in kept if kept[name] != now.get(name)], "what the other one made stays as it is"
        assert turn < 2 or not [name for name in now if name not in kept], "nothing is made twice"
        assert turn == 0 or len(desk.server.asked) == requests, "no text is asked about twice"
        kept, requests = now, len(desk.server.asked)
    runs = {f"{each}-at-once": desk.start(each, f"{each}-at-once", "cache-once", f"../store-{each}")
            for each in ("this", "other")}  # fmt: skip
    ends = {name: desk.end(name, process) for name, process in runs.items()}
    assert not [differing(found, alone[name.partition("-")[0]]) for name, found in ends.items()
                if found != alone[name.partition("-")[0]]]  # fmt: skip
    assert not differing(outcome(desk.folder / "cache-once"), outcome(desk.folder / "cache-turns"))
