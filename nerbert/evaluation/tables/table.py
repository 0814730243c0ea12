"""Make the table of a suite from its cells. Pure: the same cells give the same table.

The cells are laid out in rows and columns; every system is tested against the baseline; figures are worded (F1, tests,
other figures, errors, types, curves); notes say how to read them. Needs scipy (extra `benchmark`) for the intervals.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.compare import compare, tests_grid
from nerbert.evaluation.tables.grid import BenchmarkTable, Curve, Notes
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, RowKey, by_target
from nerbert.evaluation.tables.notes import facts_of, notes_of
from nerbert.evaluation.tables.other_figures import errors_grid, other_figures_grid, type_grids
from nerbert.evaluation.tables.records import records
from nerbert.evaluation.tables.scores import scores_grid
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.render.plots import STYLES, PlotPoint
from nerbert.terminal import percent


def make_table(suite: Suite, cells: Sequence[Cell]) -> BenchmarkTable:
    """Return the table of a suite; missing cells count as not run, the order of cells doesn't matter."""
    layout = Layout(suite, cells)
    tests, notes = compare(layout), Notes()
    grids = [
        *(scores_grid(layout, protocol, tests, notes) for protocol in layout.protocols),
        tests_grid(layout, tests, notes), other_figures_grid(layout), errors_grid(layout), *type_grids(layout),
    ]  # fmt: skip
    return BenchmarkTable(
        name=suite.name,
        title=" ".join(suite.title.split()) or suite.name,
        about=" ".join(suite.about.split()),
        grids=tuple(grid for grid in grids if grid.rows or grid.key == "scores"),
        curves=tuple(_curves(layout)),
        numbered=tuple(notes),
        notes=notes_of(layout, tests),
        facts=facts_of(layout),
        records=tuple(records(layout.cells, suite.published)),
    )


def _curves(layout: Layout) -> Iterator[Curve]:
    """Yield F1 against training sentences for each target on which a system has two points or more.

    A figure has at most as many systems as there are styles; more systems are in further figures.
    """
    systems = list(layout.suite.systems)
    for target, row_keys in by_target(layout.row_keys).items():
        for protocol in layout.protocols:
            for first in range(0, len(systems), STYLES):
                shown = systems[first : first + STYLES]
                lines = {system: _points(layout, row_keys, ColumnKey(system, protocol)) for system in shown}
                if any(len(points) > 1 for points in lines.values()):
                    styles = {name: number for number, name in enumerate(lines) if lines[name]}
                    drawn = {name: lines[name] for name in styles}
                    yield Curve(f"{target}, {protocol}" if len(layout.protocols) > 1 else target, drawn, styles)


def _points(layout: Layout, row_keys: Sequence[RowKey], column: ColumnKey) -> list[PlotPoint]:
    points = []
    for row_key in row_keys:
        group = layout.at(row_key, column)
        seen, sentences = group.summary(), _sentences(row_key, group)
        if seen and sentences:
            limits = f" [{percent(seen.low)}, {percent(seen.high)}]" if seen.low is not None and seen.high else ""
            text = f"{sentences:,.0f} sentences {percent(seen.mean)}{limits}"
            points.append(PlotPoint(sentences, seen.mean, text, seen.low, seen.high))
    return sorted(points, key=lambda point: point.x)


def _sentences(row_key: RowKey, group: Group) -> float | None:
    """Return how many sentences a row is trained on; of a share or all, as the cells' facts say."""
    size = parse_size(row_key.size)
    if size.kind is SizeUnit.SENTENCES:
        return float(size.number)
    known = group.observed("facts.sentences") if size.kind in (SizeUnit.PERCENT, SizeUnit.ALL) else {}
    return fmean(known.values()) if known else None
