"""A benchmark's table as data: tidy records (a row is one figure of one cell), and grids of texts, notes and curves.

Figures of episodes are pooled, as Few-NERD does. Cost: what doesn't follow from sums is left out.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.benchmark.suite import Published
from nerbert.metrics.score import Counts, Macro
from nerbert.render.plots import Plot

COLUMNS = ("system", "protocol", "target", "size", "draw", "seed", "state", "metric", "type", "value", "why")
"""Columns of a record. `metric` is a place in a cell's scores ("micro.f1") or facts ("facts.cpu_seconds"), `type` that
of which it is a figure, if it is of one alone; `value` is 0–1 or a count, as stored."""
Figures = dict[tuple[str, str], float]
"""(metric, type) → value."""
ERRORS = ("boundary", "type", "both", "missed", "spurious")
COUNTS = ("right", "predicted", "gold")
NONE = "–"
"""The text of a cell that wasn't run, or isn't known."""


def figures_of(cell: Cell) -> Figures:
    """Return all figures of a cell; a type isn't part of a metric's name, since its own may hold dots."""
    facts = {key: value for key, value in cell.facts.items() if not isinstance(value, Mapping)}
    whole = {key: value for key, value in cell.scores.items() if key != "by_type"} | {"facts": facts}
    by_type = {str(name): {"by_type": counts} for name, counts in inner(cell.scores, "by_type").items()}
    groups = {"": whole, **by_type}
    return {_key(metric, name): value for name, group in groups.items() for metric, value in _numbers(group)}


@cache
def _key(metric: str, type_: str) -> tuple[str, str]:
    """Return one object for equal keys: a suite may have many thousands of cells with the same figures."""
    return metric, type_


def _numbers(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield every number in nested mappings, with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{above}{key}", value


def inner(scores: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return what is at a key; nothing where that holds no keys itself."""
    found = scores.get(key)
    return found if isinstance(found, Mapping) else {}


def pool(parts: Sequence[Figures]) -> Figures:
    """Return the figures of several test sets as if they were one."""
    if len(parts) == 1:
        return parts[0]
    pooled: Figures = defaultdict(float)
    for part in parts:
        for (metric, type_), value in part.items():
            group, _, last = metric.rpartition(".")
            if group == "errors" or last in (*COUNTS, "left_out"):
                pooled[metric, type_] += value
    by_type = []
    for metric, type_ in sorted(pooled):
        group, _, last = metric.rpartition(".")
        if last == "gold":
            counts = Counts(*(int(pooled[f"{group}.{key}", type_]) for key in COUNTS))
            by_type += [counts] if group == "by_type" else []
            pooled |= {(f"{group}.{key}", type_): value for key, value in counts.as_json().items()}
    if by_type:
        pooled["macro.f1", ""] = Macro.of(by_type).f1
    sure = [(part.get(("calibration.entities", ""), 0), part.get(("calibration.ece", ""), 0)) for part in parts]
    if entities := sum(number for number, _ in sure):
        pooled["calibration.ece", ""] = sum(number * error for number, error in sure) / entities
    return dict(pooled)


def with_shares(figures: Figures) -> Figures:
    """Return figures with the number of all errors and the share of each kind, if all kinds are counted."""
    kinds = {kind: figures[f"errors.{kind}", ""] for kind in ERRORS if (f"errors.{kind}", "") in figures}
    if len(kinds) < len(ERRORS):
        return figures
    whole = sum(kinds.values())
    shares = {_key(f"shares.{kind}", ""): count / whole for kind, count in kinds.items() if whole}
    return {**figures, _key("errors", ""): whole, **shares}


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
    curves: tuple[Plot, ...] = ()
    """F1 against training sentences on one target under one protocol, a line a system."""
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
