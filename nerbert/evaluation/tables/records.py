"""A benchmark's table as data: tidy records (a row is one figure of one cell), and grids of texts and notes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.benchmark.suite import Published
from nerbert.evaluation.tables.results import figures_of

COLUMNS = ("system", "protocol", "target", "size", "draw", "seed", "state", "metric", "type", "value", "why")
"""Columns of a record. `metric` is a place in a cell's scores ("micro.f1") or facts ("facts.cpu_seconds"), `type` that
of which it is a figure, if it is of one alone; `value` is 0–1 or a count, as stored."""
NONE = "–"
"""The text of a cell that wasn't run, or isn't known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a grid."""

    text: str = NONE
    below: str = ""
    """The confidence interval and greedy F1, in small print where there is room."""
    mark: str = ""
    """Stars of significance."""
    notes: tuple[str, ...] = ()
    best: bool = False


Row = tuple[Entry, ...]


def entries(*texts: str | Entry) -> Row:
    """Return texts as a row."""
    return tuple(each if isinstance(each, Entry) else Entry(each) for each in texts)


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns under a title; the first `names` columns hold names. Types are detail: on the page only."""

    key: Literal["scores", "tests", "zero_shot", "zero_shot_spans", "figures", "errors", "types"]
    title: str
    heads: Row
    rows: tuple[Row, ...]
    names: int = 3


@dataclass(frozen=True, kw_only=True)
class BenchmarkTable:
    """All that is shown of a suite."""

    name: str
    title: str
    about: str = ""
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """What one needs to make the table again."""
    cells: Sequence[Cell] = ()
    published: Sequence[Published] = ()

    @cached_property
    def numbered(self) -> dict[str, int]:
        """Number the notes to entries and heads from 1; the same note has one number."""
        entries = (entry for grid in self.grids for row in (grid.heads, *grid.rows) for entry in row)
        notes = dict.fromkeys(note for entry in entries for note in entry.notes)
        return {note: number for number, note in enumerate(notes, 1)}

    def numbers(self, entry: Entry) -> list[int]:
        """Return the numbers of an entry's notes."""
        return [self.numbered[note] for note in entry.notes]

    def records(self) -> Iterator[tuple[str, ...]]:
        """Yield the columns' names, every figure of every cell (or a record without metric), then what is published."""
        yield COLUMNS
        for cell in self.cells:
            at, figures = cell.place, figures_of(cell)
            place = (at.system, at.protocol, at.target, at.size, f"{at.draw}", f"{at.seed}", cell.state.value)
            yield from ((*place, *name, repr(value), cell.why) for name, value in figures.items())
            if not figures:
                yield (*place, "", "", "", cell.why)
        for paper in self.published:
            known = [("micro.f1", *each) for each in paper.f1.items()]
            for metric, target, f1 in (*known, *(("token.f1", *each) for each in paper.token_f1.items())):
                place = (paper.name, "", target, paper.size, "", "", "published")
                yield (*place, metric, "", repr(round(f1 / 100, 6)), paper.of)
