"""The guide's suite and commands run as they stand there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from nerbert.evaluation.benchmark.suite import Published, SystemSettings, Target
from tests.commands import exit_code

GUIDE = (Path(__file__).parents[3] / "docs" / "how-to" / "compare.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def command(line: str) -> None:
    assert exit_code(*shlex.split(line)[1:]) == 0


@pytest.mark.extras
def test_the_guide_runs(
    data: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data.parent)
    shutil.copytree(tiny_encoder, "encoder")
    shutil.copy("data/ships/dev.conll", "data/far")
    smallest, larger, *_ = blocks("toml")
    Path("small.toml").write_text(smallest, encoding="utf-8")
    encoders = "--encoder mine=encoder --encoder other=embedded"
    command(f"nerbert benchmark small.toml --data data -o small {encoders} --dry-run")
    assert len(capsys.readouterr().out.splitlines()) == 2 * 5 + 1
    Path("ships.toml").write_text(larger, encoding="utf-8")
    (commands,) = blocks("sh")
    listed, run = commands.splitlines()
    command(listed)
    assert len(capsys.readouterr().out.splitlines()) == 2 * 2 * 2 * 3 + 1
    command(run)
    assert "24 done" in capsys.readouterr().err
    assert {path.name for path in Path("results").glob("[!.]*")} == {
        "cells", "sources", *(f"ships.{ending}" for ending in ("md", "tex", "csv", "html")),
    }  # fmt: skip
    command(listed)
    assert capsys.readouterr().out.count("cached: F1") == 24


def test_the_guide_names_every_key() -> None:
    for table, cls in (("systems.NAME", SystemSettings), ("targets", Target), ("published", Published)):
        for name in cls.model_fields:
            assert f"{table}.{name}" in GUIDE or name in ("name", "of"), name
