"""Registries: names, `module:name`, and what they refuse."""

import re
from pathlib import Path
from typing import Annotated

import pytest

from nerbert.config import check
from nerbert.errors import SettingsError
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


def test_a_missing_library_keeps_its_own_error(
    shapes: Registry[type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library_here"):
        shapes.find("needs_more:X")


def test_a_registry_bounds_a_setting(shapes: Registry[type]) -> None:
    assert check("shape", "path", Annotated[str, shapes]) == "path"
    assert check("shape", "mine.own:Shape", Annotated[str, shapes]) == "mine.own:Shape"
    with pytest.raises(SettingsError, match="must be text, one of 'path', or your own as module:name"):
        check("shape", "none", Annotated[str, shapes])
