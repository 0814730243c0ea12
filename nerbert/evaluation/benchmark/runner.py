"""Run a suite: finished cells are read, the others are run, in order of worth, several at once.

A run that is stopped (Ctrl-C, SIGTERM) writes the tables of what is done, too, and then ends as it was asked to.

A cell that fails is kept with its reason, and is run again only if something changes that its key holds, or with
`retry`. One that the machine made fail (its process died, no memory, a full disk) is run again every time.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nerbert.errors import InputError, SettingsError, need
from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.inputs import Job
from nerbert.evaluation.benchmark.plan import make_plan, this_machine
from nerbert.evaluation.benchmark.pool import Processes
from nerbert.evaluation.benchmark.scheduler import NO_ROOM, Scheduler, name_of, said
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.terminal import progress, tell, visible

OUT_OF_TIME, STOPPED = "no time left", "the run was stopped"
_GO_ON = "run the same command again to go on"
_Stop = KeyboardInterrupt | SystemExit | None


def benchmark(
    suite: Suite, data: Path, output: Path, *, minutes: float | None = None, workers: int = 0, retry: bool = False,
    again: str = "run the same command again",
) -> bool:  # fmt: skip
    """Run a suite, write its tables to `output` and print them; return whether no cell failed."""
    from nerbert.evaluation.tables.table import make_table
    from nerbert.render.benchmark import print_table, write_tables

    need("benchmark", "scipy")
    cells, stop = _run(suite, data, output, minutes, workers, retry=retry)
    table = make_table(suite, cells)
    try:
        files = write_tables(output, table)
    finally:  # cells on a full disk are reported though their tables can't be written
        print_table(table)
        for line in _left(cells, again):
            tell(line)
    tell(f"{_counted(cells)}; written: {', '.join(map(str, files))}")
    if stop:
        raise stop
    return all(cell.state is not State.FAILED for cell in cells)


def run_suite(
    suite: Suite, data: Path, output: Path, *, minutes: float | None = None, workers: int = 0, retry: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[Cell]:  # fmt: skip
    """Return every cell of a suite, in order of worth; those that `output` lacks are run first.

    `minutes` is when the last cell may be begun; `workers` how many run at once (0: one a GPU, else one a core);
    `retry` runs those again that failed.
    """
    cells, stop = _run(suite, data, output, minutes, workers, retry=retry, clock=clock)
    if stop:
        raise stop
    return cells


def _run(
    suite: Suite, data: Path, output: Path, minutes: float | None, workers: int, *, retry: bool,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[list[Cell], _Stop]:  # fmt: skip
    """Return what `run_suite` returns, and what stopped it before its end, if something did."""
    _check(data, minutes, workers)
    limit, store, machine = None if minutes is None else clock() + 60 * minutes, Store(output), this_machine()
    stop: _Stop = None
    with store.hold():
        plan = make_plan(suite, data, machine)
        known = _known(plan, store, retry=retry)
        jobs = _first_of_each(job for job in _jobs(plan) if job.key not in known)
        encoders = {job.encoder for job in jobs}
        with (
            Processes(output, data, machine, min(workers, max(1, len(jobs))), sorted(encoders)) as crew,
            progress("cells", len(jobs)) as bar,
        ):
            work = Scheduler(jobs, store, crew, bar, limit, clock)
            work.learn(known.values())
            if jobs:
                begin = f"cells to run: {len(jobs)}, {crew.workers} at once{work.time_left()}"
                tell(f"{begin}; done already: {len(known)}")
            try:
                work.run()
            except (KeyboardInterrupt, SystemExit) as error:
                stop = error
                stop.add_note(_GO_ON)
    if stop:  # cells that ended meanwhile
        known |= {job.key: cell for job in _jobs(plan) if (cell := store.read_cell(job.key, job.place))}
    cells, left = known | work.done, STOPPED if stop else work.stopped or OUT_OF_TIME
    return [_outcome(each, cells, left) for each in plan], stop


def list_suite(suite: Suite, data: Path, output: Path, *, retry: bool = False) -> Iterator[str]:
    """Yield a line for each cell, in order of worth, with its state, then one for each reason why cells can't run.

    Nothing is run or written.
    """
    _check(data, None, 0)
    store, plan = Store(output), make_plan(suite, data, this_machine())
    known = _known(plan, store, retry=retry)
    for each in _jobs(plan):
        if each.key in known:
            state = f"cached: {said(known[each.key])}"
        else:
            state = "would be scored anew" if store.has_predictions(each.tag_key) else "would run"
        yield visible(f"{name_of(each.place)}: {state}")
    for reason in _reasons(each for each in plan if isinstance(each, Cell)):
        yield visible(f"can't run: {reason}")


def _known(plan: Iterable[Job | Cell], store: Store, *, retry: bool) -> dict[str, Cell]:
    """Return outcomes that the store has, by key; tell what is broken there."""
    found = {each.key: store.read_cell(each.key, each.place, retry=retry) for each in _jobs(plan)}
    for note in store.notes:
        tell(note)
    return {key: cell for key, cell in found.items() if cell is not None}


def _jobs(plan: Iterable[Job | Cell]) -> list[Job]:
    return [each for each in plan if isinstance(each, Job)]


def _first_of_each(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs without those whose outcome another one makes."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.key, job)
    return list(first.values())


def _outcome(each: Job | Cell, cells: Mapping[str, Cell], left: str) -> Cell:
    """Return what became of a cell.

    One that is in several places is the same in all. `left` is why one wasn't begun.
    """
    if isinstance(each, Cell):
        return each
    return replace(cells.get(each.key, Cell(each.place, State.NOT_RUN, left)), place=each.place)


def _check(data: Path, minutes: float | None, workers: int) -> None:
    need("train", "torch", "transformers", "accelerate", "tokenizers")
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
    failed = [cell for cell in cells if cell.state is State.FAILED]
    yield from (f"failed: {reason}" for reason in _reasons(failed))
    tried = {cell.try_again for cell in failed}
    if True in tried:
        yield f"cells that failed by the machine are tried by every run: {again}"
    if False in tried:
        yield "cells that failed by themselves are tried again when what their key holds changes, or with --retry"
    for why, hint in ((OUT_OF_TIME, ""), (STOPPED, ""), (NO_ROOM, "free space there, then ")):
        if rest := sum(cell.state is State.NOT_RUN and cell.why.endswith(why) for cell in cells):
            yield f"{rest} cells are left; {hint}{again}"


def _reasons(cells: Iterable[Cell]) -> Iterator[str]:
    """Yield each reason once, after the name of its first cell and the number of the others."""
    by_reason: dict[str, list[Cell]] = {}
    for cell in cells:
        by_reason.setdefault(cell.why, []).append(cell)
    for why, (first, *others) in by_reason.items():
        yield f"{name_of(first.place)}{f' and {len(others)} more' if others else ''}: {why}"
