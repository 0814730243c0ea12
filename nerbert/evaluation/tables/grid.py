"""A benchmark's table as data: texts in rows and columns, notes, curves, records.

Figures are rounded and worded once, when a grid is made; a template only lays them out and escapes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from nerbert.render.plots import Plot

NONE = "–"
"""The text of a cell that wasn't run, or isn't known."""
Notes = dict[str, int]
"""Note → its number; the same note has one number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a grid."""

    text: str = NONE
    below: str = ""
    """The confidence interval, in small print where there is room."""
    mark: str = ""
    """Stars of significance."""
    notes: tuple[int, ...] = ()
    best: bool = False


Row = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns under a title; the first `names` columns hold names. Types are detail: on the page only."""

    key: Literal["scores", "tests", "figures", "errors", "types"]
    title: str
    heads: Row
    rows: tuple[Row, ...]
    names: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkTable:
    """All that is shown of a suite."""

    name: str
    title: str
    about: str = ""
    grids: tuple[Grid, ...] = ()
    curves: tuple[Plot, ...] = ()
    """F1 against training sentences on one target under one protocol, a line a system."""
    numbered: tuple[str, ...] = ()
    """Notes that entries and heads refer to, from 1."""
    notes: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """What one needs to make the table again."""
    records: tuple[tuple[str, ...], ...] = ()
    """Rows of the CSV, heads first."""


def entries(texts: Iterable[str]) -> Row:
    """Return texts as a row."""
    return tuple(map(Entry, texts))


def number(notes: Notes, text: str) -> int:
    """Return the number of a note, a new one if it wasn't there."""
    return notes.setdefault(text, len(notes) + 1)


def sized(size: str) -> str:
    """Return a size in words; "" is of means over targets that have different sizes."""
    return f"{size} sentences" if size.isdigit() else size or "each at its size"
