"""A benchmark's table as data: tidy records (a row is one figure of one cell), and grids of texts, notes and curves.

Figures of episodes are pooled, as Few-NERD does. The price: what doesn't follow from sums is left out.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
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


def inner(scores: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return what is at a key; nothing where that holds no keys itself."""
    found = scores.get(key)
    return found if isinstance(found, Mapping) else {}


def records(cells: Iterable[Cell], published: Iterable[Published]) -> Iterator[tuple[str, ...]]:
    """Yield the columns' names, every figure of every cell (or a record without metric), then what is published."""
    yield COLUMNS
    for cell in cells:
        at = cell.place
        place = (at.system, at.protocol, at.target, at.size, str(at.draw), str(at.seed), cell.state.value)
        figures = figures_of(cell)
        for (metric, type_), value in figures.items():
            yield (*place, metric, type_, repr(value), cell.why)
        if not figures:
            yield (*place, "", "", "", cell.why)
    for paper in published:
        kinds = (("micro.f1", paper.f1), ("token.f1", paper.token_f1))
        for metric, target, value in ((metric, *each) for metric, f1s in kinds for each in f1s.items()):
            f1 = repr(round(value / 100, 6))
            yield (paper.name, "", target, paper.size, "", "", "published", metric, "", f1, paper.of)


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
    groups = {(metric.removesuffix(".gold"), type_) for metric, type_ in pooled if metric.endswith(".gold")}
    counts = {(group, type_): Counts(*(int(pooled[f"{group}.{key}", type_]) for key in COUNTS))
              for group, type_ in sorted(groups)}  # fmt: skip
    for (group, type_), each in counts.items():
        pooled |= {(f"{group}.{key}", type_): value for key, value in each.as_json().items()}
    if by_type := [each for (group, _), each in counts.items() if group == "by_type"]:
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
    shares = {(f"shares.{kind}", ""): count / whole for kind, count in kinds.items() if whole}
    return {**figures, ("errors", ""): whole, **shares}


def _numbers(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield every number in nested mappings, with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{above}{key}", value


NONE = "–"
"""The text of a cell that wasn't run, or isn't known."""
Notes = dict[str, int]
"""Note → its number; the same note has one number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a grid."""

    text: str = NONE
    below: str = ""
    """The confidence interval and greedy F1, in small print where there is room."""
    mark: str = ""
    """Stars of significance."""
    notes: tuple[int, ...] = ()
    best: bool = False


Row = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns under a title; the first `names` columns hold names. Types are detail: on the page only."""

    key: Literal["scores", "tests", "zero_shot", "figures", "errors", "types"]
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
    if size == "0":
        return "nothing (zero-shot)"
    return f"{size} sentences" if size.isdigit() else size or "each at its size"
