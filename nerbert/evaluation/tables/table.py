"""Make the table of a suite from its cells. Pure: the same cells give the same table.

The cells are laid out in rows and columns; every system is tested against the baseline; figures are worded (F1, tests,
other figures, errors, types, curves); notes say how to read them. Needs scipy (extra `benchmark`) for the intervals.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.compare import compare, tests_grid
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, RowKey, by_target
from nerbert.evaluation.tables.notes import facts_of, notes_of
from nerbert.evaluation.tables.records import BenchmarkTable, Notes, records
from nerbert.evaluation.tables.scores import errors_grid, other_figures_grid, scores_grid, type_grids
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.render.plots import STYLES, Plot, PlotLine, PlotPoint


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


def _curves(layout: Layout) -> Iterator[Plot]:
    """Yield F1 against training sentences for each target on which a system has two points or more.

    A figure has at most as many systems as there are styles, and a system has the same style in all figures; more
    systems are in further figures.
    """
    systems = list(layout.suite.systems)
    for target, row_keys in by_target(layout.row_keys).items():
        for protocol in layout.protocols:
            where = f"{target}, {protocol}" if len(layout.protocols) > 1 else target
            for first in range(0, len(systems), STYLES):
                shown = enumerate(systems[first : first + STYLES])
                lines = [PlotLine(system, style, _points(layout, row_keys, ColumnKey(system, protocol)))
                         for style, system in shown]  # fmt: skip
                if any(len(line.points) > 1 for line in lines):
                    title, drawn = f"{where}: F1 in percent", tuple(line for line in lines if line.points)
                    yield Plot(title, "sentences", drawn, log=True)


def _points(layout: Layout, row_keys: Sequence[RowKey], column: ColumnKey) -> tuple[PlotPoint, ...]:
    points = []
    for row_key in row_keys:
        group = layout.at(row_key, column)
        seen, sentences = group.summary(), _sentences(row_key, group)
        if seen and sentences:
            points.append(PlotPoint(sentences, seen.mean, seen.low, seen.high))
    return tuple(sorted(points, key=lambda point: point.x))


def _sentences(row_key: RowKey, group: Group) -> float | None:
    """Return how many sentences a row is trained on; of a share or all, as the cells' facts say."""
    size = parse_size(row_key.size)
    if size.kind is SizeUnit.SENTENCES:
        return float(size.number)
    known = group.observed("facts.sentences") if size.kind in (SizeUnit.PERCENT, SizeUnit.ALL) else {}
    return fmean(known.values()) if known else None
