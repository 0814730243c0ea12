"""Registries: names, `module:name`, and what they refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest

from nerbert.config import check
from nerbert.errors import MissingExtra, NerbertError, SettingsError
from nerbert.registry import IN_PACKAGES, Registry
from tests.raised import raises


@pytest.fixture
def shapes() -> Registry[type]:
    return Registry("shape", "nerbert.shapes", {"path": "pathlib:Path"})


def test_entries_are_imported_when_asked_for(shapes: Registry[type]) -> None:
    assert shapes.find("path") is Path
    assert list(shapes) == ["path"]
    assert shapes.find("fractions:Fraction").__name__ == "Fraction"
    lazy = Registry[type]("shape", "nerbert.shapes", {"missing": "no_such_module_here:X"})
    assert list(lazy) == ["missing"]
    with raises(SettingsError, words="PYTHONPATH"):
        lazy.find("missing")


@pytest.mark.parametrize("name", ["nothing", "a:b:c", "os", ":x", "no_such_module_here:X", "pathlib:Nothing", "a b:c"])
def test_unknown_ones(shapes: Registry[type], name: str) -> None:
    with raises(SettingsError, words=f"shape {name!r}: "):
        shapes.find(name)


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("import no_such_library_here", SettingsError, "No module named 'no_such_library_here'; install its module"),
        ("1 / 0", SettingsError, "division by zero; importing raises failed"),
        ("def", SettingsError, "invalid syntax (raises.py, line 1); importing raises failed"),
        ("raise RuntimeError", SettingsError, "RuntimeError; importing raises failed"),
        ("from fractions import Nothing", SettingsError, "cannot import name 'Nothing' from 'fractions'"),
        ("raise ModuleNotFoundError(name='torch')", MissingExtra, "torch not installed: pip install 'nerbert[train]'"),
    ],
)
def test_a_module_that_raises_is_one_line(
    shapes: Registry[type],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kind: type[NerbertError],
    told: str,
) -> None:
    (tmp_path / "raises.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with raises(kind, words=told if kind is MissingExtra else f"shape 'raises:X': {told}") as caught:
        shapes.find("raises:X")
    assert "\n" not in str(caught.value)


def test_a_registry_bounds_a_setting(shapes: Registry[type]) -> None:
    assert check("shape", "path", Annotated[str, shapes]) == "path"
    assert check("shape", "mine.own:Shape", Annotated[str, shapes]) == "mine.own:Shape"
    with raises(SettingsError, words="must be text, one of 'path', or your own as module:name"):
        check("shape", "none", Annotated[str, shapes])


@pytest.mark.parametrize(
    "ask", [lambda shapes: shapes.find("knot"), lambda shapes: check("shape", "knot", Annotated[str, shapes])]
)
def test_an_entry_of_a_missing_package_names_it(
    shapes: Registry[type], monkeypatch: pytest.MonkeyPatch, ask: Callable[[Registry[type]], object]
) -> None:
    monkeypatch.setitem(IN_PACKAGES, "nerbert.shapes", {"knot": "nerbert-knots"})
    with raises(MissingExtra, "knot is in the package nerbert-knots, which isn't installed: pip install nerbert-knots"):
        ask(shapes)


def test_other_distributions_join_and_one_that_is_broken_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "offers.py").write_text("class Square: pass\ncircle = 1\n")
    points = {
        "one": "square = offers:Square\ntwice = offers:Square\npath = offers:Square",
        "other": "twice = offers:Square\ncircle = offers:circle\ngone = offers:Far",
    }
    for name, lines in points.items():
        folder = tmp_path / f"{name}_shapes-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-shapes\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[nerbert.shapes]\n{lines}\n")
    monkeypatch.syspath_prepend(tmp_path)
    shapes = Registry[type]("shape", "nerbert.shapes", {"path": "pathlib:Path"})
    assert [*shapes] == [*shapes] == ["path", "square"]
    assert (shapes.find("path"), shapes.find("square").__name__) == (Path, "Square")
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "shape 'circle' of other-shapes: has no __call__, as each shape must; it is left out",
        "shape 'gone' of other-shapes: module 'offers' has no attribute 'Far'; importing offers failed; it is left out",
        "shape 'path' of one-shapes: nerbert has one of this name; write it as offers:Square; it is left out",
        "shape 'twice': one-shapes and other-shapes offer it; uninstall one, or write module:name; it is left out",
    ]
    with raises(SettingsError, words="one-shapes and other-shapes offer it"):
        shapes.find("twice")
    paths = Registry[type]("shape", "nerbert.shapes", {}, base=Path)
    with raises(SettingsError, words="shape 'square' of one-shapes: must be a subclass of pathlib.Path"):
        paths.find("square")
