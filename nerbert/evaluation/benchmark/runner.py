"""Runs a suite: what is done is read, what isn't is run, in order of worth, several cells at once.

A cell that fails is kept with its reason and is not tried again before something changes that its key holds, or someone
asks for it; one that failed by the machine (its process died, no memory, a full disk) is tried by every run.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nerbert.evaluation.benchmark.cells import Cell, CellKey, State
from nerbert.evaluation.benchmark.inputs import Job
from nerbert.evaluation.benchmark.plan import make_plan, this_machine
from nerbert.evaluation.benchmark.pool import Processes
from nerbert.evaluation.benchmark.scheduler import Scheduler, said
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.terminal import progress, tell

OUT_OF_TIME = "no time left"
_GO_ON = "run the same command again to go on"


def run_suite(
    suite: Suite, data: Path, output: Path, *, minutes: float | None = None, workers: int = 0, retry: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[Cell]:  # fmt: skip
    """Return every cell of a suite, in order of worth; those that `output` lacks are run first.

    `minutes` is when the last cell may be begun; `workers` how many run at once (0: one a GPU, else one a core);
    `retry` runs those again that failed.
    """
    limit, store, machine = None if minutes is None else clock() + 60 * minutes, Store(output), this_machine()
    with store.hold():
        plan = make_plan(suite, data, machine)
        known = _known(plan, store, retry=retry)
        jobs = _first_of_each(job for job in _jobs(plan) if job.key not in known)
        encoders = {job.encoder for job in jobs}
        with (
            Processes(output, data, machine, min(workers, max(1, len(jobs))), sorted(encoders)) as crew,
            _going_on(),
            progress("cells", len(jobs)) as bar,
        ):
            work = Scheduler(jobs, store, crew, bar, limit, clock)
            work.learn(known.values())
            work.run()
    cells = known | work.done
    return [_outcome(each, cells, work.stopped or OUT_OF_TIME) for each in plan]


def list_suite(suite: Suite, data: Path, output: Path, *, retry: bool = False) -> Iterator[tuple[CellKey, str]]:
    """Yield every cell in order of worth and its state, without running or writing anything."""
    store, plan = Store(output), make_plan(suite, data, this_machine())
    known = _known(plan, store, retry=retry)
    for each in plan:
        if isinstance(each, Cell):
            yield each.place, f"{each.state}: {each.why}"
        elif each.key in known:
            yield each.place, f"cached: {said(known[each.key])}"
        else:
            yield each.place, "would be scored anew" if store.has_predictions(each.tag_key) else "would run"


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


@contextmanager
def _going_on() -> Iterator[None]:
    """Say how to go on when the run is stopped."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(_GO_ON)
        raise
    except SystemExit:
        tell(f"stopped; {_GO_ON}")
        raise
