"""An executor that only these tests know runs a command's tasks; the built-in one starts its processes once."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerbert import pool
from nerbert.corpus.shards import read_sentences
from nerbert.registry import EXECUTORS
from nerbert.tagger.jobs import files
from tests.commands import exit_code
from tests.corpus.test_build import digests
from tests.extending.guides import blocks, module, run_commands
from tests.extending.test_corpus_step import build
from tests.extending.toys.executor_toy import Threads

NAME = "tests.extending.toys.executor_toy:Threads"
FEW = ["--set=max_steps=1", "--set=min_steps=0", "--set=precision=fp32", "--set=threads=1"]
Get = Callable[[str], Path]
Job = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def plain(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that one worker built, without processes."""
    output = tmp_path_factory.mktemp("plain") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "ProcessPoolExecutor", None)
        assert build(sample, output) == 0
    return output


@pytest.fixture(scope="module")
def texts(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two files of text."""
    folder = tmp_path_factory.mktemp("texts")
    sentences = [each.text for each in read_sentences(plain)]
    for number in range(2):
        (folder / f"{number}.txt").write_text("\n".join(sentences[number::2][:60]))
    return folder


def pretrained(get: Get, to: Path, *options: str) -> dict[str, bytes]:
    """Pre-train for one step; return the windows."""
    config = to / "pretrain.toml"
    config.write_text(f'corpus = "{get("plain")}"\ncache = "{to / "cache"}"\nbackbone = "{get("tiny_encoder")}"\n')
    few = [each for each in FEW if "min_steps" not in each]
    assert exit_code("pretrain", config, "-o", to / "encoder", *few, *options) == 0
    return {path.name: path.read_bytes() for path in (to / "cache" / "pieces").rglob("*.bin")}


def tagged(get: Get, to: Path, *options: str) -> dict[str, bytes]:
    """Tag two files; return the outputs."""
    texts = sorted(get("texts").iterdir())
    assert exit_code("tag", get("tiny_tagger"), *texts, "-o", to / "tagged", "--device", "cpu", *options) == 0
    return {path.name: path.read_bytes() for path in (to / "tagged").iterdir()}


def distilled(get: Get, to: Path, *options: str) -> dict[str, bytes]:
    """Distil a tagger; return the teacher's sentences."""
    words = ("--encoder", get("tiny_encoder"), "-o", to / "student", "--device", "cpu", "--set=source_epochs=0.1", *FEW)
    assert exit_code("distil", get("tiny_tagger"), *sorted(get("texts").iterdir()), *words, *options) == 0
    return {"silver": (to / "student" / "silver.jsonl").read_bytes()}


def benchmarked(get: Get, to: Path, *options: str) -> dict[str, bytes]:
    """Run a suite of two cells; return their scores."""
    suite = to / "suite.toml"
    suite.write_text(
        f'seeds = [1, 2]\n[systems.tiny]\nencoder = "{get("tiny_encoder")}"\n[protocols.fast]\nmax_steps = 1\n'
        'min_steps = 0\nprecision = "fp32"\n[[targets]]\ndata = "domain"\nsizes = [3]\n'
    )
    assert exit_code("benchmark", suite, "--data", get("sample"), "-o", to / "out", *options) == 0
    cells = [json.loads(path.read_text()) for path in sorted((to / "out" / "cells").iterdir())]
    return {"scores": json.dumps([each["scores"] for each in cells]).encode()}


@pytest.mark.parametrize(
    ("job", "tasks"),
    [(pretrained, 4), (tagged, 4), (distilled, 4), pytest.param(benchmarked, 2, marks=pytest.mark.extras)],
)
def test_long_jobs_run_on_it_and_make_the_same(
    job: Job, tasks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(Threads, "made", [])
    monkeypatch.setattr(files, "_PART", 2000)
    found = []
    for name, options in (("threads", ("--executor", NAME, "--workers", "1")), ("usual", ())):
        (tmp_path / name).mkdir()
        found.append(job(request.getfixturevalue, tmp_path / name, *options))
    (made,) = Threads.made
    assert (made.workers, made.left) == (1, 1)
    assert made.tasks >= tasks
    assert found[0]
    assert found[0] == found[1]
    assert {each.isolated for each in made.needs} == {job is benchmarked}


def test_a_build_runs_on_it_and_makes_the_same_bytes(
    plain: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Threads, "made", [])
    monkeypatch.setattr(EXECUTORS, "_known", dict(EXECUTORS._known))
    EXECUTORS.register("threads", Threads)
    assert build(sample, tmp_path / "out", "--executor", "threads", "--workers", "2") == 0
    (made,) = Threads.made
    parts = len(list((plain / "pages").iterdir()))
    assert parts > 5
    assert (made.workers, made.left) == (2, 1)
    assert made.tasks > 5 * parts, "every stage's"
    assert digests(tmp_path / "out") == digests(plain)


def test_the_guides_examples_run(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module("executor.md", "threads", tmp_path, monkeypatch)
    Path("build.py").write_text(blocks("executor.md", "python")[1])
    Path("dump.xml").symlink_to(sample / "wiki.xml")
    Path("knowledge").symlink_to(sample / "knowledge")
    run_commands(blocks("executor.md", "bash")[0])
    subprocess.run([sys.executable, "build.py"], check=True)
    assert digests(Path("corpus")) == digests(Path("again"))
