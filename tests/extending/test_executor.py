"""An executor that only these tests know runs a command's tasks; the built-in one starts its processes once."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nerbert import pool
from nerbert.cli import main
from nerbert.corpus.shards import read_sentences
from nerbert.registry import EXECUTORS
from nerbert.tagger.jobs import files
from tests.commands import exit_code
from tests.extending.test_corpus_step import digests
from tests.extending.toys.executor_toy import Threads

Job = Callable[..., dict[str, Any]]


class Shared(NamedTuple):
    """What the jobs read."""

    data: Path
    corpus: Path
    encoder: Path
    tagger: Path
    texts: list[Path]


@pytest.fixture(scope="module")
def shared_things(
    sample: Path, plain: Path, tiny_encoder: Path, tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory
) -> Shared:
    folder = tmp_path_factory.mktemp("texts")
    sentences = [each.text for each in read_sentences(plain)]
    texts = [folder / f"{number}.txt" for number in range(2)]
    for number, path in enumerate(texts):
        path.write_text("\n".join(sentences[number::2][:150]))
    return Shared(sample, plain, tiny_encoder, tiny_tagger, texts)


NAME = "tests.extending.toys.executor_toy:Threads"
PAGE = Path(__file__).parents[2] / "docs" / "extending" / "executor.md"


def build(sample: Path, output: Path, *options: str) -> int:
    """Build the sample's corpus of several parts; return the exit code."""
    with pytest.raises(SystemExit) as stop:
        main(["corpus", "build", str(sample / "wiki.xml"), "--knowledge", str(sample / "knowledge"),
              "-o", str(output), "--set", "min_mentions=5", "--set", "split_bytes=40_000", *options])  # fmt: skip
    return int(stop.value.code or 0)


def pretrained(shared: Shared, to: Path, *options: str) -> dict[str, bytes]:
    """Pre-train for one step; return the windows."""
    config = to / "pretrain.toml"
    config.write_text(f"""corpus = "{shared.corpus}"
cache = "{to / "cache"}"
backbone = "{shared.encoder}"
max_steps = 1
precision = "fp32"
threads = 1
""")
    assert exit_code("pretrain", config, "-o", to / "encoder", *options) == 0
    return {path.name: path.read_bytes() for path in (to / "cache" / "pieces").rglob("*.bin")}


def tagged(shared: Shared, to: Path, *options: str) -> dict[str, bytes]:
    """Tag two files; return the outputs."""
    assert exit_code("tag", shared.tagger, *shared.texts, "-o", to / "tagged", "--device", "cpu", *options) == 0
    return {path.name: path.read_bytes() for path in (to / "tagged").iterdir()}


def distilled(shared: Shared, to: Path, *options: str) -> dict[str, bytes]:
    """Distil a tagger; return the teacher's sentences."""
    few = {"source_epochs": 0.1, "epochs": 0.1, "min_steps": 1, "threads": 1, "precision": "fp32"}
    sets = [part for name, value in few.items() for part in ("--set", f"{name}={value}")]
    words = ("--encoder", shared.encoder, "-o", to / "student", "--device", "cpu", *sets)
    assert exit_code("distil", shared.tagger, *shared.texts, *words, *options) == 0
    return {"silver": (to / "student" / "silver.jsonl").read_bytes()}


def benchmarked(shared: Shared, to: Path, *options: str) -> dict[str, bytes]:
    """Run a suite of two cells; return their scores."""
    pytest.importorskip("scipy")
    suite = to / "suite.toml"
    suite.write_text(f"""seeds = [1, 2]
[systems.tiny]
encoder = "{shared.encoder}"
[protocols.fast]
max_steps = 1
min_steps = 0
precision = "fp32"
[[targets]]
data = "domain"
sizes = [3]
""")
    assert exit_code("benchmark", suite, "--data", shared.data, "-o", to / "out", *options) == 0
    cells = [json.loads(path.read_text()) for path in sorted((to / "out" / "cells").iterdir())]
    return {"scores": json.dumps([each["scores"] for each in cells]).encode()}


def built(shared: Shared, to: Path, *options: str) -> dict[str, str]:
    """Build the sample's corpus of several parts; return its files."""
    assert build(shared.data, to / "corpus", *options) == 0
    return digests(to / "corpus")


@pytest.mark.parametrize(
    ("job", "tasks"), [(built, 30), (pretrained, 5), (tagged, 10), (distilled, 10), (benchmarked, 2)]
)
def test_all_five_long_jobs_run_on_it_and_make_the_same(
    job: Job, tasks: int, shared_things: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Threads, "made", [])
    monkeypatch.setattr(files, "_PART", 2000)
    wanted = {"threads": ("--executor", NAME, "--workers", "1"), "local": ("--executor", "local:2"), "default": ()}
    found = {}
    for name, options in wanted.items():
        (tmp_path / name).mkdir()
        found[name] = job(shared_things, tmp_path / name, *options)
    (made,) = Threads.made
    assert (made.workers, made.left) == (1, 1)
    assert made.tasks >= tasks
    assert found["threads"]
    assert found["threads"] == found["local"] == found["default"]
    assert {each.isolated for each in made.needs} == {job is benchmarked}


@pytest.fixture(scope="module")
def plain(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plain") / "corpus"
    assert build(sample, output) == 0
    return output


@pytest.mark.parametrize("registered", [False, True])
def test_a_build_runs_on_it_and_makes_the_same_bytes(
    registered: bool, plain: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Threads, "made", [])
    monkeypatch.setattr(EXECUTORS, "_known", dict(EXECUTORS._known))
    name = "threads" if registered else NAME
    if registered:
        EXECUTORS.register(name, Threads)
    assert build(sample, tmp_path / "out", "--executor", name, "--workers", "2") == 0
    (made,) = Threads.made
    parts = len(list((plain / "pages").iterdir()))
    assert parts > 5
    assert (made.workers, made.left) == (2, 1)
    assert made.tasks > 5 * parts, "every stage's"
    assert digests(tmp_path / "out") == digests(plain)


def test_a_build_starts_one_pool_of_processes(
    plain: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Watched(ProcessPoolExecutor):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            started.append(self)

    monkeypatch.setattr(pool, "ProcessPoolExecutor", Watched)
    assert build(sample, tmp_path / "two", "--workers", "2") == 0
    assert len(started) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        started[0].submit(int)
    assert build(sample, tmp_path / "one") == 0
    assert len(started) == 1, "one worker needs none"
    assert digests(tmp_path / "two") == digests(tmp_path / "one") == digests(plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--executor", "none"],
            "executor 'none': must be one of 'local', 'ray', or your own as module:name; NAME:4 has 4 workers",
        ),
        (["--executor", "no_such_module:Any"], "executor 'no_such_module:Any': No module named 'no_such_module'"),
        (["--workers", "0"], "workers = 0: must be at least 1"),
    ],
)
def test_what_is_no_executor_is_refused(
    options: list[str], message: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(sample, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err


def test_the_how_tos_examples_run(sample: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    module, program = (text for name, text in blocks if name == "python")
    command = next(text for name, text in blocks if name == "bash")
    (tmp_path / "threads.py").write_text(module)
    (tmp_path / "build.py").write_text(program)
    (tmp_path / "dump.xml").symlink_to(sample / "wiki.xml")
    (tmp_path / "knowledge").symlink_to(sample / "knowledge")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    search = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PATH": path, "PYTHONPATH": search}
    done = subprocess.run(
        ["bash", "-euc", f"{command}\npython build.py"], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "corpus") == digests(tmp_path / "again")
