"""An executor that only these tests know runs all tasks of the long jobs; the guide's examples run."""

import subprocess
import sys
from pathlib import Path

import pytest

from nerbert.executors import EXECUTORS
from tests.corpus.test_build import digests
from tests.extending.guides import blocks, module, run_commands
from tests.extending.toys.executor_toy import Threads
from tests.long_jobs import COMMANDS, desk, outcome

__all__ = ["desk"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    "name", [name if name != "benchmark" else pytest.param(name, marks=pytest.mark.extras) for name in COMMANDS]
)
def test_long_jobs_run_on_it_and_make_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Threads, "made", [])
    monkeypatch.setitem(EXECUTORS._known, "threads", Threads)
    one, other = outcome(name, "--executor", "threads", "--workers", "1"), outcome(name)
    assert one == other
    (made,) = Threads.made
    assert (made.workers, made.left) == (1, 1)
    assert made.tasks > 3
    assert {each.isolated for each in made.needs} == {name == "benchmark"}


def test_the_guides_examples_run(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module("executor.md", "threads", tmp_path, monkeypatch)
    Path("build.py").write_text(blocks("executor.md", "python")[1])
    Path("dump.xml").symlink_to(sample / "wiki.xml")
    Path("knowledge").symlink_to(sample / "knowledge")
    run_commands(blocks("executor.md", "bash")[0])
    subprocess.run([sys.executable, "build.py"], check=True)
    assert digests(Path("corpus")) == digests(Path("again"))
