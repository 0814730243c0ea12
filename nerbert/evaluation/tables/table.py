"""A suite and its cells → the table that is shown and written. Pure; the same cells give the same table.

The story: lay the cells out in rows and columns, test every system against the baseline, word the grids (F1, tests,
what stands beside), then say what must be known to read them. Needs scipy (extra `benchmark`) for the intervals.
"""

from collections.abc import Sequence

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.compare import compare
from nerbert.evaluation.tables.curves import curves
from nerbert.evaluation.tables.grid import BenchmarkTable
from nerbert.evaluation.tables.layout import Layout
from nerbert.evaluation.tables.notes import notes_of
from nerbert.evaluation.tables.published import Numbered
from nerbert.evaluation.tables.records import records
from nerbert.evaluation.tables.reproduction import facts_of
from nerbert.evaluation.tables.scores import scores_grid, tests_grid
from nerbert.evaluation.tables.secondary_metrics import beside_grid, errors_grid, type_grids


def make_table(suite: Suite, cells: Sequence[Cell]) -> BenchmarkTable:
    """The table of a suite; cells that aren't given count as not run, their order doesn't matter."""
    board = Layout(suite, cells)
    tests, notes = compare(board), Numbered()
    grids = [
        *(scores_grid(board, protocol, tests, notes) for protocol in board.protocols),
        tests_grid(board, tests, notes), beside_grid(board), errors_grid(board), *type_grids(board),
    ]  # fmt: skip
    return BenchmarkTable(
        name=suite.name,
        title=" ".join(suite.title.split()) or suite.name,
        about=" ".join(suite.about.split()),
        grids=tuple(grid for grid in grids if grid is not None and (grid.rows or grid.key == "scores")),
        curves=tuple(curves(board)),
        numbered=tuple(notes.texts),
        notes=tuple(notes_of(board, tests)),
        facts=facts_of(board),
        records=tuple(records(board)),
    )
