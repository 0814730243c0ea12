"""Run a suite: first its source checkpoints, then its cells by priority, several at once; finished ones are read.

A run that is stopped (Ctrl-C, SIGTERM, a full disk) also writes the tables of the finished cells, and then ends.

A failed cell is stored with its reason, and is run again only if its key changes, or with `retry`. One that failed
because of the machine (its process died, no memory, a full disk) is run again every time.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from nerbert.errors import InputError, SettingsError, WorkerDied, WriteError, may_try_again, need, visible
from nerbert.evaluation.benchmark.cells import TRY_AGAIN, Cell, Machine, State
from nerbert.evaluation.benchmark.job import Job
from nerbert.evaluation.benchmark.plan import make_plan, this_machine
from nerbert.evaluation.benchmark.selection import NOT_SELECTED, Selection, cpu_seconds_left
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.benchmark.system import CellTask
from nerbert.evaluation.benchmark.tasks import OUT_OF_TIME, Desk, End, run_task
from nerbert.evaluation.datasets.load import check_root
from nerbert.executors import Executor, Resources, given_or_local
from nerbert.parts import WHOLE, Share
from nerbert.process import check_alone, cores
from nerbert.terminal import duration, percent, tell

STOPPED = "the run was stopped"
_AGAIN = "; the next run tries again"
_Task = TypeVar("_Task", bound=CellTask)
_Stop = KeyboardInterrupt | SystemExit | WriteError | None


def benchmark(
    suite: Suite, data: Path, output: Path, executor: Executor | None = None, *, minutes: float | None = None,
    retry: bool = False, only: Iterable[str] = (), again: str = "rerun the command", share: Share = WHOLE,
) -> bool:  # fmt: skip
    """Run a suite, or the cells that `only` selects, write its tables to `output` and print them; return whether no
    cell failed. Of a partial share no tables are written, and only its own cells count.

    Without an `executor`, cells run in one local process per GPU, or one per core without GPUs.
    """
    from nerbert.evaluation.tables.table import make_table
    from nerbert.render.benchmark import print_table, write_tables

    need("benchmark", "scipy")
    check_alone("a benchmark")
    with given_or_local(executor, len(_gpus(this_machine())) or cores()) as opened:
        cells, stop = run_suite(suite, data, output, opened, minutes=minutes, retry=retry, only=only, share=share)
    table = make_table(suite, cells)
    try:
        files = [] if share.partial else write_tables(output, table)
    finally:  # cells on a full disk are reported though their tables can't be written
        if not share.partial:
            print_table(table)
        for line in _left(cells, again):
            tell(line)
    tell(f"{_counted(cells)}; " + (f"written: {', '.join(map(str, files))}" if files else "--merge writes the tables"))
    if stop:
        raise stop
    return all(cell.state is not State.FAILED for cell in cells)


def run_suite(
    suite: Suite, data: Path, output: Path, executor: Executor, *, minutes: float | None = None, retry: bool = False,
    only: Iterable[str] = (), share: Share = WHOLE,
) -> tuple[list[Cell], _Stop]:  # fmt: skip
    """Return every cell of a suite, by priority, and what stopped the run early, if anything. Cells missing in `output`
    are run first, by an executor, if `only` selects them. None begins after `minutes`; `retry` runs failed cells again.
    Of a partial share only its own are run and returned; a merge runs none, and raises InputError if some are missing.
    """
    _check(data, minutes)
    selection = Selection(suite, only)
    until, machine, store = None if minutes is None else time.time() + 60 * minutes, this_machine(), Store(output)
    stop: _Stop = None
    with store.hold(share):
        plan: Sequence[Job | Cell] = make_plan(suite, data, machine)
        known = _known(plan, store, retry=retry)
        own = _own([job for job in _jobs(plan) if job.place in selection], share)
        jobs = [job for key, job in own.items() if key not in known]
        if share.merge and jobs:
            raise InputError(f"{output}: {len(jobs)} cells are missing, such as {jobs[0].place}; run the parts that "
                             "have them, on machines of this kind, or leave out --merge")  # fmt: skip
        run = _SuiteRun(jobs, store, executor, Desk(output, machine, _gpus(machine), until))
        if jobs:
            tell(f"cells to run: {len(jobs)}, {executor.workers} at once; done already: {len(known)}")
        try:
            run.run()
        except (KeyboardInterrupt, SystemExit, WriteError) as error:
            stop = error
            stop.add_note("rerun the command to resume")
    if stop:  # cells that ended meanwhile
        known |= {job.key: cell for job in _jobs(plan) if (cell := store.read_cell(job.key, job.place))}
    cells, left = known | run.done, STOPPED if stop else OUT_OF_TIME
    if share.partial:
        plan = list(own.values())
    return [_outcome(each, cells, left if each.place in selection else NOT_SELECTED) for each in plan], stop


def _own(jobs: Iterable[Job], share: Share) -> dict[str, Job]:
    """Return the cells of a share by key, in order; those that start from one source checkpoint are in one share."""
    groups = dict[str, dict[str, Job]]()
    for job in jobs:
        source = job.system.source
        together = (source.key if source else job.key) if share.partial else ""
        groups.setdefault(together, {}).setdefault(job.key, job)
    return {key: job for group in share.of_items(groups.values()) for key, job in group.items()}


class _SuiteRun:
    """The cells of a run; `done` holds outcomes by key."""

    def __init__(self, jobs: Sequence[Job], store: Store, executor: Executor, desk: Desk) -> None:
        self._jobs, self._store, self._executor, self._desk = jobs, store, executor, desk
        self._needs = Resources(gpus=float(desk.machine.device == "cuda"), isolated=True)
        self.done: dict[str, Cell] = {}

    def run(self) -> None:
        """Train the missing source checkpoints, then run the cells that have theirs."""
        unmade = {}
        for source, end in self._ends(self._missing_sources()):
            if end.state is State.DONE:
                tell(f"{source}: made")
            else:
                unmade[source.key] = end._replace(why=f"{source}: {end.why}")
        ready = []
        for job in self._jobs:
            if (start := job.system.source) and start.key in unmade:
                self._ended(job, unmade[start.key])
            else:
                ready.append(job)
        for job, end in self._ends(ready):
            self._ended(job, end)

    def _missing_sources(self) -> list[CellTask]:
        """Return the source checkpoints that jobs without predictions need and that aren't there, each once."""
        started = ((job, job.system.source) for job in self._jobs)
        sources = {source.key: source for job, source in started
                   if source and self._store.read_predictions(job.tag_key) is None}  # fmt: skip
        return [each for each in sources.values() if self._store.source_cost(each.key, whole=True) is None]

    def _ends(self, tasks: Sequence[_Task]) -> Iterator[tuple[_Task, End]]:
        """Yield each task and how it ended; raise WriteError once the disk is full, since nothing more can be stored.
        If a worker process dies, the task that killed it is unknown. Those in progress are run again one by one, so
        that only one task fails.
        """
        waiting = deque(tasks)
        while waiting:
            try:
                for end in self._executor.map_ordered(partial(run_task, self._desk), tuple(waiting), self._needs):
                    if end.full:
                        raise WriteError(f"{self._store.folder}: is full, so no more cells are started: {end.why}")
                    yield waiting.popleft(), end
            except WorkerDied as error:
                if len(tasks) == 1:
                    yield waiting.popleft(), End(State.FAILED, f"{error}{_AGAIN}", may_try_again(error))
                    return
                tell(f"{error}; the tasks in progress run again, one by one")
                begun = [task for task in waiting if (self._store.scratch / task.key).exists()] or [waiting[0]]
                for task in begun:
                    yield from self._ends([task])
                waiting = deque(task for task in waiting if task not in begun)

    def _ended(self, job: Job, end: End) -> None:
        """Store and report the outcome of a cell."""
        if end.state is State.NOT_RUN:
            return
        cell = None if end.why else self._store.read_cell(job.key, job.place)
        if cell is None:
            end = end if end.why else End(State.FAILED, f"can't be read back{_AGAIN}", try_again=True)
            cell = Cell(job.place, State.FAILED, end.why, facts={TRY_AGAIN: True} if end.try_again else {})
            self._store.write_cell(job.key, cell)
        self.done[job.key] = cell
        tell(f"{cell.place}: {_said(cell)}; {len(self.done)} of {len(self._jobs)} cells")


def list_suite(
    suite: Suite, data: Path, output: Path, *, retry: bool = False, only: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a line for each selected cell, by priority, with its state, one for each reason why cells can't run, and
    how long the others will take, by the cells that are done. Nothing is run or written.
    """
    _check(data, None)
    selection, store = Selection(suite, only), Store(output)
    every = make_plan(suite, data, this_machine())
    known = _known(every, store, retry=retry)
    plan = [each for each in every if each.place in selection]
    for each in _jobs(plan):
        if each.key in known:
            state = f"cached: {_said(known[each.key])}"
        else:
            tagged = (store.predictions / f"{each.tag_key}.json").is_file()
            state = "would be scored again" if tagged else "would run"
        yield visible(f"{each.place}: {state}")
    for reason in _reasons(each for each in plan if isinstance(each, Cell)):
        yield visible(f"can't run: {reason}")
    left = {each.key: each.place for each in _jobs(plan) if each.key not in known}
    if left:
        seconds, unlike = cpu_seconds_left(left.values(), known.values())
        told = f"about {duration(seconds)} of CPU time by the cells that are done" if seconds else ""
        without = f"no cell like {unlike} of them is done" if unlike else ""
        yield f"to run: {len(left)} cells; {', and '.join(filter(None, (told, without)))}"


def _gpus(machine: Machine) -> tuple[str, ...]:
    """Return the names of the GPUs, to give each process one."""
    if machine.device != "cuda":
        return ()
    named = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    return tuple(named or map(str, range(torch.cuda.device_count())))


def _known(plan: Iterable[Job | Cell], store: Store, *, retry: bool) -> dict[str, Cell]:
    """Return the store's outcomes by key; report broken files."""
    found = {each.key: store.read_cell(each.key, each.place, retry=retry) for each in _jobs(plan)}
    for note in store.notes:
        tell(note)
    return {key: cell for key, cell in found.items() if cell is not None}


def _jobs(plan: Iterable[Job | Cell]) -> list[Job]:
    return [each for each in plan if isinstance(each, Job)]


def _outcome(each: Job | Cell, cells: Mapping[str, Cell], left: str) -> Cell:
    """Return the outcome of a cell, which is the same in all its places; `left` is why it wasn't started."""
    if isinstance(each, Cell):
        return each
    return replace(cells.get(each.key, Cell(each.place, State.NOT_RUN, left)), place=each.place)


def _check(data: Path, minutes: float | None) -> None:
    check_root(data)
    if minutes is not None and not minutes > 0:
        raise SettingsError(f"--minutes {minutes:g}: must be above 0")


def _said(cell: Cell) -> str:
    """Return a cell's outcome in words."""
    return f"F1 {percent(cell.scores['micro']['f1'])}" if cell.state is State.DONE else f"{cell.state}: {cell.why}"


def _counted(cells: list[Cell]) -> str:
    counts = Counter(cell.state for cell in cells)
    return "cells: " + ", ".join(f"{counts[state]} {state.value.replace('_', ' ')}" for state in State if counts[state])


def _left(cells: list[Cell], again: str) -> Iterator[str]:
    """Yield advice on failed cells and on those not run."""
    failed = [cell for cell in cells if cell.state is State.FAILED]
    yield from (f"failed: {reason}" for reason in _reasons(failed))
    tried = {cell.try_again for cell in failed}
    if True in tried:
        yield f"every run retries cells that failed because of the machine: {again}"
    if False in tried:
        yield "other failed cells are retried when their data or settings change, or with --retry"
    if rest := sum(cell.why in (OUT_OF_TIME, STOPPED) for cell in cells):
        yield f"{rest} cells are left; {again}"


def _reasons(cells: Iterable[Cell]) -> Iterator[str]:
    """Yield each reason once, after the name of its first cell and the number of the others."""
    by_reason: dict[str, list[Cell]] = {}
    for cell in cells:
        by_reason.setdefault(cell.why, []).append(cell)
    for why, (first, *others) in by_reason.items():
        yield f"{first.place}{f' and {len(others)} more' if others else ''}: {why}"
