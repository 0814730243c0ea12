"""A benchmark's table as data: texts in rows and columns, notes, curves, records. What every renderer reads.

The choice: figures are rounded and worded once, here below `make_table`, and a renderer only lays out and escapes. The
price: a renderer can't choose other decimals. Texts are as they came from outside; each renderer escapes for itself.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

NONE = "–"
"""What stands where there is nothing: not run, or not known."""
STYLES = 8
"""Lines that can be told apart in one figure."""


class ColumnKind(StrEnum):
    """What a column holds."""

    NAME = "name"
    FIGURE = "figure"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Column:
    """A column."""

    head: str
    kind: ColumnKind = ColumnKind.FIGURE
    note: int = 0
    """Number of the note that belongs to the head; 0 for none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a grid."""

    text: str = NONE
    below: str = ""
    """What stands small below it where there is room: the confidence interval."""
    mark: str = ""
    """Stars of significance."""
    notes: tuple[int, ...] = ()
    best: bool = False


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row; `whole` if it sums up the others, `minor` if it says so little that the terminal leaves it out."""

    entries: tuple[Entry, ...]
    whole: bool = False
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns under a title."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    folded: bool = False
    """Whether it is detail: folded in HTML, left out of Markdown, LaTeX and the terminal."""


class Point(NamedTuple):
    """A place of a learning curve; figures are 0–1."""

    sentences: float
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """F1 against training sentences on one target under one protocol, a line a system."""

    target: str
    lines: dict[str, tuple[Point, ...]]
    styles: dict[str, int]
    """Number of each line's colour and dashes, the same for a system in all figures; from 0, below `STYLES`."""
    protocol: str = ""
    """Empty where the suite has only one."""


class Record(NamedTuple):
    """A line of the CSV: one figure of one cell, of one `type` perhaps; `value` is 0–1 or a count, as it was stored."""

    system: str
    protocol: str
    target: str
    size: str
    draw: str
    seed: str
    state: str
    metric: str
    type: str
    value: str
    why: str


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
    """What it takes to make the table again."""
    records: tuple[Record, ...] = ()
