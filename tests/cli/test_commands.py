"""Commands of other distributions: found by their names, listed in the help, reported when they can't be used."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest

from nerbert import cli
from nerbert.about import __version__
from nerbert.cli.data import corpus_app
from nerbert.errors import MissingExtra
from nerbert.process import check_package
from nerbert.registry import Registry, _tell_once
from tests.commands import exit_code
from tests.raised import raises

MODULE = '''
from cyclopts import App

pets = App(name="pets", help="Keep pets.")

def count(path: str, *, twice: bool = False) -> None:
    """Count the characters of a name."""
    print(len(path) * (1 + twice))

@pets.command
def feed(name: str) -> None:
    """Feed a pet."""
    print(name, "ate")
'''
POINTS = {
    "one": "count = toys:count\npets = toys:pets\ntag = toys:count\ntwice = toys:count\nlost = toys:nothing",
    "other": "twice = toys:pets\ncorpus.weigh = toys:count",
}


def distribute(folder: Path, name: str, points: str, version: str = "1.0") -> None:
    """Write the metadata of an installed distribution that offers commands."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (place / "entry_points.txt").write_text(f"[nerbert.commands]\n{points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path with two distributions that offer commands; what others offer isn't looked up."""
    (tmp_path / "toys.py").write_text(MODULE)
    for name, points in POINTS.items():
        distribute(tmp_path, f"{name}-toys", points)
    monkeypatch.syspath_prepend(tmp_path)
    _tell_once.cache_clear()
    own = {name: each for name, each in cli.app._commands.items() if name in cli._BUILT_IN or name.startswith("-")}
    monkeypatch.setattr(cli.app, "_commands", own)
    monkeypatch.setattr(corpus_app, "_commands", corpus_app._commands.copy())
    monkeypatch.setattr(cli, "COMMANDS", Registry[Any]("command", "nerbert.commands", cli._BUILT_IN))
    return tmp_path


def test_a_command_of_another_distribution_runs(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("count", "abc", "--twice") == 0
    assert exit_code("pets", "feed", "Rex") == 0
    assert exit_code("toys:count", "ab") == 0
    assert capsys.readouterr().out == "6\nRex ate\n2\n"
    assert exit_code("count", "--help") == 0
    assert "Usage: nerbert count " in capsys.readouterr().out
    assert exit_code("pets", "fed", "Rex") == 2
    assert "no command 'fed': did you mean 'feed'?" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [("--help", r"\bweigh\b.*Count the characters"), ("weigh abc", r"^3$")])
def test_a_command_of_another_distribution_joins_a_group(
    site: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    assert exit_code("corpus", *arguments.split()) == 0
    assert re.search(said, capsys.readouterr().out)


def test_the_help_lists_commands_of_other_distributions(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    told = capsys.readouterr()
    assert re.search(r"\bcount\b.*Count the characters of a name\.", told.out)
    assert re.search(r"\bpets\b.*Keep pets\.", told.out)
    assert "twice" not in told.out
    assert exit_code("completion", "bash") == 0
    assert "feed" in capsys.readouterr().out
    for words in (
        "command 'tag' of one-toys: nerbert has one of this name; write it as toys:count; it is left out",
        "command 'twice': one-toys and other-toys offer it; uninstall one, or write module:name; it is left out",
        "command 'lost' of one-toys: module 'toys' has no attribute 'nothing'; importing toys failed; it is left out",
    ):
        assert words in told.err.replace("other-toys and one-toys", "one-toys and other-toys")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("twice", 1, "offer it; uninstall one, or write module:name"),
        ("lost", 1, "importing toys failed"),
        (
            "knit x",
            1,
            "nerbert: knit is in the package nerbert-knit, which isn't installed: pip install nerbert-knit\n",
        ),
        ("corpus knit x", 1, "nerbert: corpus.knit is in the package nerbert-knit, which isn't installed: pip"),
        ("corpus wiegh x", 2, "no command 'wiegh': did you mean 'weigh'?"),
        ("cuont", 2, "no command 'cuont': did you mean 'count'?"),
    ],
)
def test_a_command_that_cannot_be_used_is_one_line(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, code: int, said: str
) -> None:
    for name in ("knit", "corpus.knit"):
        monkeypatch.setitem(cli.PACKAGES, name, "nerbert-knit")
    assert exit_code(*command.split()) == code
    assert said in capsys.readouterr().err


def test_entry_points_are_not_looked_up_for_a_command_of_nerbert(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = list[str]()
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: asked.append(group) or [])  # type: ignore[func-returns-value]
    assert exit_code("doctor", "--help") == exit_code("data", "list", "--help") == 0
    assert asked == []
    assert exit_code("count") == 2
    assert asked == ["nerbert.commands"]


def test_a_package_of_another_version_is_refused(site: Path) -> None:
    check_package("nerbert-knit")  # from a folder, without metadata
    distribute(site, "nerbert-knit", "", "9.9")
    with raises(MissingExtra, words=f"nerbert-knit 9.9 doesn't fit nerbert {__version__}: pip install nerbert-knit=="):
        check_package("nerbert-knit")
