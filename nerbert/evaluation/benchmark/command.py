"""What `nerbert benchmark` does: run, write the tables, print them, say what is left."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nerbert.errors import InputError, SettingsError, need
from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.runner import OUT_OF_TIME, list_suite, run_suite
from nerbert.evaluation.benchmark.scheduler import NO_ROOM, name_of
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.terminal import tell, visible

EXTRAS = {"train": ("torch", "transformers", "accelerate", "tokenizers"), "benchmark": ("scipy",)}


def run(
    suite: Suite, data: Path, output: Path, *, minutes: float | None = None, workers: int = 0, retry: bool = False,
    again: str = "run the same command again",
) -> bool:  # fmt: skip
    """Run a suite and make its tables in `output`; whether no cell failed."""
    from nerbert.evaluation.tables.grid import RECORD
    from nerbert.evaluation.tables.table import make_table
    from nerbert.render.benchmark import write_tables
    from nerbert.render.terminal.benchmark import print_table

    _check(data, minutes, workers)
    cells = run_suite(suite, data, output, minutes=minutes, workers=workers, retry=retry)
    table = make_table(suite, cells)
    try:
        files = write_tables(output, table, RECORD)
    finally:  # cells on a full disk are reported though their tables can't be written
        print_table(table)
        for line in _left(cells, again):
            tell(line)
    tell(f"{_counted(cells)}; written: {', '.join(map(str, files))}")
    return all(cell.state is not State.FAILED for cell in cells)


def listed(suite: Suite, data: Path, output: Path, *, retry: bool = False) -> Iterator[str]:
    """Yield the cells in order of worth, a line each, with their state."""
    _check(data, None, 0)
    for place, state in list_suite(suite, data, output, retry=retry):
        yield visible(f"{name_of(place)}: {state}")


def _check(data: Path, minutes: float | None, workers: int) -> None:
    for extra, modules in EXTRAS.items():
        need(extra, *modules)
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; name the one that holds the data sets (--data)")
    if minutes is not None and not minutes > 0:
        raise SettingsError(f"--minutes {minutes:g}: must be above 0")
    if workers < 0:
        raise SettingsError(f"--workers {workers}: must be at least 0")


def _counted(cells: list[Cell]) -> str:
    counts = Counter(cell.state for cell in cells)
    return "cells: " + ", ".join(f"{counts[state]} {state.value.replace('_', ' ')}" for state in State if counts[state])


def _left(cells: list[Cell], again: str) -> Iterator[str]:
    """Yield what to do about cells that failed and that weren't run."""
    failed: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.state is State.FAILED:
            failed.setdefault(cell.why, []).append(cell)
    for why, (first, *others) in failed.items():
        yield f"failed: {name_of(first.place)}{f' and {len(others)} more' if others else ''}: {why}"
    tried = {cell.try_again for each in failed.values() for cell in each}
    if True in tried:
        yield f"cells that failed by the machine are tried by every run: {again}"
    if False in tried:
        yield "cells that failed by themselves are tried again when what their key holds changes, or with --retry"
    for why, hint in ((OUT_OF_TIME, ""), (NO_ROOM, "free space there, then ")):
        if rest := sum(cell.state is State.NOT_RUN and cell.why.endswith(why) for cell in cells):
            yield f"{rest} cells are left; {hint}{again}"
