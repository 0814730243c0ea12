"""The guide's suite and commands run as they stand there."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from nerbert.cli import PACKAGES, add_commands, app
from nerbert.encoder.settings import PretrainSettings
from nerbert.training.sections import load_settings
from nerbert_bench.datasets.fetch import find_public
from nerbert_bench.runner import select_cells
from nerbert_bench.suite import Published, SystemSettings, Target, parse_encoders, read_suite
from tests.commands import exit_code

ROOT = Path(__file__).parents[4]
PAGES = ROOT / "docs" / "how-to"
README = (ROOT / "packages" / "nerbert-bench" / "README.md").read_text(encoding="utf-8")
GUIDE, PAPERS = ((PAGES / name).read_text(encoding="utf-8") for name in ("compare.md", "reproduce.md"))


def blocks(language: str, page: str = GUIDE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


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
        "cells",
        "sources",
        *(f"ships.{ending}" for ending in ("md", "tex", "csv", "html")),
    }
    command(listed)
    assert capsys.readouterr().out.count("cached: F1") == 24


def test_the_readme_runs(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(data.parent)
    (suite,) = blocks("toml", README)
    Path("ships.toml").write_text(suite, encoding="utf-8")
    (commands,) = blocks("sh", README)
    for line in commands.splitlines():
        command(line)
    assert "ships, 10, draw 5, seed 1: would run" in capsys.readouterr().out


def test_the_papers_commands_are_read_as_bash_expands_them(tmp_path: Path) -> None:
    """None runs: `nerbert` prints its arguments; they are parsed, and settings, systems and data sets looked up."""
    script = (
        r"nerbert() { printf '%s\0' "
        '"$@" "\n"; }\npip() { :; }; python() { :; }; mkdir() { :; }; mv() { :; }; vllm() { :; }\n'
    )
    script += "".join(blocks("bash", PAPERS))
    printed = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    add_commands(*PACKAGES)
    cells = list[int]()
    for words in printed.split("\n\0")[:-1]:
        command, bound, _ = app.parse_args(words.split("\0")[:-1], exit_on_error=False, print_error=False)
        options = bound.arguments
        if command.__name__ == "benchmark":
            suite = read_suite(options["suite"], parse_encoders(options["encoder"]))
            cells.append(len(select_cells(list(suite.cell_keys()), options.get("only", ()))))
        elif command.__name__ == "pretrain":
            assert load_settings(PretrainSettings, options["config"], options["set_"]).seed
        elif command.__name__ == "data_fetch":
            assert all(map(find_public, options["names"]))
    assert cells[:-1] == [1810, 5 * 3 * 11, 545, 110 + 360], "as the page counts them"


def test_the_guide_names_every_key() -> None:
    for table, cls in (("systems.NAME", SystemSettings), ("targets", Target), ("published", Published)):
        for name in cls.model_fields:
            assert f"{table}.{name}" in GUIDE or name in ("name", "of"), name
