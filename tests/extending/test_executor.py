"""An executor that only these tests know runs a command's tasks; the built-in one starts its processes once."""

import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nerbert import executors
from nerbert.cli import main
from nerbert.registry import EXECUTORS
from tests.extending.test_corpus_step import digests
from tests.extending.toys.executor_toy import Threads

NAME = "tests.extending.toys.executor_toy:Threads"
PAGE = Path(__file__).parents[2] / "docs" / "extending" / "executor.md"


def build(sample: Path, output: Path, *options: str) -> int:
    """Build the sample's corpus of several parts; return the exit code."""
    with pytest.raises(SystemExit) as stop:
        main(["corpus", "build", str(sample / "wiki.xml"), "--knowledge", str(sample / "knowledge"),
              "-o", str(output), "--set", "min_mentions=5", "--set", "split_bytes=40_000", *options])  # fmt: skip
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def plain(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plain") / "corpus"
    assert build(sample, output) == 0
    return output


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("registered", [False, True])
def test_a_build_runs_on_it_and_makes_the_same_bytes(
    workers: int, registered: bool, plain: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Threads, "made", [])
    monkeypatch.setattr(EXECUTORS, "_known", dict(EXECUTORS._known))
    name = "threads" if registered else NAME
    if registered:
        EXECUTORS.register(name, Threads)
    assert build(sample, tmp_path / "out", "--executor", name, "--workers", str(workers)) == 0
    (made,) = Threads.made
    parts = len(list((plain / "pages").iterdir()))
    assert parts > 5
    assert (made.workers, made.left) == (workers, 1)
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

    monkeypatch.setattr(executors, "ProcessPoolExecutor", Watched)
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
        (["--executor", "none"], "executor 'none': must be one of 'local', or your own as module:name"),
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
