"""Registries: names, `module:name`, and what they refuse."""

import re
from pathlib import Path
from typing import Annotated

import pytest

from nerbert.config import check
from nerbert.errors import MissingExtra, SettingsError
from nerbert.registry import Registry


@pytest.fixture
def shapes() -> Registry[type]:
    return Registry("shape", {"path": "pathlib:Path"})


def test_built_in_ones_are_imported_when_asked_for(shapes: Registry[type]) -> None:
    lazy = Registry[type]("shape", {"missing": "no_such_module_here:X"})
    assert list(lazy) == ["missing"]
    with pytest.raises(SettingsError, match="PYTHONPATH"):
        lazy.find("missing")
    assert shapes.find("path") is Path


def test_own_ones(shapes: Registry[type]) -> None:
    assert shapes.register("mine", int) is int
    assert (shapes.find("mine"), list(shapes)) == (int, ["path", "mine"])
    with pytest.raises(SettingsError, match="must be new"):
        shapes.register("mine", str)
    assert shapes.find("fractions:Fraction").__name__ == "Fraction"


@pytest.mark.parametrize("name", ["nothing", "a:b:c", "os", ":x", "no_such_module_here:X", "pathlib:Nothing", "a b:c"])
def test_unknown_ones(shapes: Registry[type], name: str) -> None:
    with pytest.raises(SettingsError, match=f"shape {re.escape(repr(name))}: "):
        shapes.find(name)


def test_a_missing_library_is_named_by_its_extra(
    shapes: Registry[type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("raise ModuleNotFoundError(name='torch')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match=re.escape("torch not installed: pip install 'nerbert[train]'")):
        shapes.find("needs_more:X")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_library_here", "No module named 'no_such_library_here'; install its module"),
        ("1 / 0", "division by zero; importing raises failed"),
        ("def", "invalid syntax (raises.py, line 1); importing raises failed"),
        ("raise RuntimeError", "RuntimeError; importing raises failed"),
        ("from fractions import Nothing", "cannot import name 'Nothing' from 'fractions'"),
    ],
)
def test_a_module_that_raises_is_one_line(
    shapes: Registry[type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    (tmp_path / "raises.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=re.escape(f"shape 'raises:X': {told}")) as caught:
        shapes.find("raises:X")
    assert "\n" not in str(caught.value)


def test_a_registry_bounds_a_setting(shapes: Registry[type]) -> None:
    assert check("shape", "path", Annotated[str, shapes]) == "path"
    assert check("shape", "mine.own:Shape", Annotated[str, shapes]) == "mine.own:Shape"
    with pytest.raises(SettingsError, match="must be text, one of 'path', or your own as module:name"):
        check("shape", "none", Annotated[str, shapes])
