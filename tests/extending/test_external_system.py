"""The guide to systems that are not nerbert is true: its script is a system, its suites can be read."""

import re
from pathlib import Path

import pytest

from nerbert.evaluation.benchmark import runner
from nerbert.evaluation.benchmark.suite_file import read_suite
from nerbert.executors import ONE_CORE
from tests.commands import exit_code

GUIDE = (Path(__file__).parents[2] / "docs" / "extending" / "external-system.md").read_text(encoding="utf-8")
TARGET = '[[targets]]\ndata = "ships"\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_script_is_a_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "Resources", lambda **_: ONE_CORE)
    (code,) = blocks("python")
    Path("first_seen.py").write_text(code, encoding="utf-8")
    folder = Path("data", "ships")
    folder.mkdir(parents=True)
    (folder / "train.conll").write_text("The\tO\nIngeborg\tB-ship\n\nIngeborg\tB-person\nslept\tO\n\n")
    (folder / "test.conll").write_text("Ingeborg\tB-ship\nslept\tO\n\nIngeborg\tB-person\nsailed\tO\n\n")
    own, spacy = blocks("toml")
    Path("s.toml").write_text(f"seeds = [1]\n{own}{TARGET}", encoding="utf-8")
    assert exit_code("benchmark", "s.toml", "--data", "data", "-o", "out", "--workers", 1) == 0
    assert "| ships | all | 50.00<br>" in Path("out", "s.md").read_text(encoding="utf-8")
    Path("both.toml").write_text(f"{own}{spacy}{TARGET}", encoding="utf-8")
    assert [bool(each.version) for each in read_suite(Path("both.toml")).systems.values()] == [False, True]
