"""The cells in long form, for pandas and its like: one line a figure of a cell, published figures too.

    system,protocol,target,size,draw,seed,state,metric,type,value,why

A cell that failed or hasn't run is one line without metric. `metric` is the place in the scores ("micro.f1",
"by_type.f1", whose type has a column of its own, since a type's name may hold dots) or in the facts
("facts.cpu_seconds"); `value` is as it was stored, figures 0–1. The price of one column for all: counts and figures
stand in it together.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.tables.grid import Record
from nerbert.evaluation.tables.layout import Layout
from nerbert.evaluation.tables.pooled import Scores, inner


def records(board: Layout) -> Iterator[Record]:
    """Every figure of every cell in the suite's order, then what is published."""
    for cell in board.cells:
        yield from _of_cell(cell)
    for paper in board.suite.published:
        for target, value in paper.f1.items():
            f1 = repr(round(value / 100, 6))
            yield Record(paper.name, "", target, "all", "", "", "published", "micro.f1", "", f1, paper.of)


def _of_cell(cell: Cell) -> Iterator[Record]:
    at = cell.place
    place = (at.system, at.protocol, at.target, at.size, str(at.draw), str(at.seed), cell.state.value)
    facts = {key: value for key, value in cell.facts.items() if not isinstance(value, Mapping)}
    figures = [*_figures(cell.scores), *((name, "", value) for name, value in _numbers(facts, "facts."))]
    for name, type_, value in figures:
        yield Record(*place, name, type_, repr(value), cell.why)
    if not figures:
        yield Record(*place, "", "", "", cell.why)


def _figures(scores: Scores) -> Iterator[tuple[str, str, int | float]]:
    """(metric, type, value) of all that stands in scores, in its order."""
    for key, each in scores.items():
        if key == "by_type":
            for type_, counts in inner(scores, key).items():
                yield from ((name, str(type_), value) for name, value in _numbers({key: counts}))
        else:
            yield from ((name, "", value) for name, value in _numbers({key: each}))


def _numbers(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, int | float]]:
    """Every number in nested mappings, with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{above}{key}", value
