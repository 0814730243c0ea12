"""A benchmark's table as data: texts in rows and columns, notes, curves, records.

Figures are rounded and worded once, in `make_table`; a renderer only lays them out and escapes them, and can't choose
other decimals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nerbert.render.plots import PlotPoint

NONE = "–"
"""The text of a cell that wasn't run, or isn't known."""
RECORD = ("system", "protocol", "target", "size", "draw", "seed", "state", "metric", "type", "value", "why")
"""Columns of the CSV: a row is one figure of one cell, of one `type` perhaps; `value` is 0–1 or a count, as stored."""


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


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row; `whole` if it sums up the others, `minor` if the terminal leaves it out, as it says so little."""

    entries: tuple[Entry, ...]
    whole: bool = False
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns under a title; the first `names` columns hold names, the last `published` published figures."""

    key: str
    title: str
    heads: tuple[Entry, ...]
    rows: tuple[TableRow, ...]
    names: int
    published: int = 0
    folded: bool = False
    """Whether it is detail: folded in HTML, left out of Markdown, LaTeX and the terminal."""


@dataclass(frozen=True, slots=True)
class Curve:
    """F1 against training sentences on one target under one protocol, a line a system."""

    title: str
    lines: Mapping[str, Sequence[PlotPoint]]
    styles: dict[str, int]
    """Number of each line's colour and dashes, the same for a system in all figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkTable:
    """All that is shown of a suite."""

    name: str
    title: str
    about: str = ""
    grids: tuple[Grid, ...] = ()
    curves: tuple[Curve, ...] = ()
    numbered: tuple[str, ...] = ()
    """Notes that entries and heads refer to, from 1."""
    notes: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """What one needs to make the table again."""
    records: tuple[tuple[str, ...], ...] = ()
    """Rows of the CSV, in the order of `RECORD`."""
