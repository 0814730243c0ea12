"""The jobs of a run: which is next, what came out, and whether there is time for more.

Jobs are in order of worth; one that waits for a source checkpoint lets others go first. Under a time limit no cell is
begun that by the longest one of its target and size would end too late. The price: what nothing is known of is begun
until the last moment, and what is under way when the time is up still ends.
"""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from nerbert.errors import WriteError
from nerbert.evaluation.benchmark.cells import Cell, Place, State
from nerbert.evaluation.benchmark.crew import Crew, Task
from nerbert.evaluation.benchmark.plan import Job, Source
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.task import End
from nerbert.show import Progress, percent, visible


class Work:
    """Runs jobs by a crew; `done` holds what came out, by key."""

    def __init__(
        self, jobs: list[Job], store: Store, crew: Crew, bar: Progress, limit: float | None,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._waiting, self._store, self._crew, self._bar = jobs, store, crew, bar
        self._limit, self._clock = limit, clock
        self.done: dict[str, Cell] = {}
        self._begun: dict[str, float] = {}
        self._longest: dict[tuple[str, str], float] = {}
        self._unmade: dict[str, End] = {}

    def learn(self, cells: Iterable[Cell]) -> None:
        """Learn from earlier runs' cells how long their like takes."""
        for cell in cells:
            if cell.state is State.DONE:
                seconds = sum(each.get("wall", 0.0) for each in cell.facts.get("seconds", {}).values())
                self._took((cell.place.target, cell.place.size), seconds)

    def run(self) -> None:
        """Run all that can be run, until nothing is left or the time is up."""
        while True:
            while self._crew.free and (task := self._next()) is not None:
                self._begun[task.key] = self._clock()
                self._crew.start(task)
            if not self._crew.busy:
                return
            for task, end in self._crew.wait():
                seconds = self._clock() - self._begun[task.key]
                self._took(_kind(task), seconds)
                if isinstance(task, Source):
                    self._source_ended(task, end, seconds)
                else:
                    self._cell_ended(task, end, seconds)

    def _next(self) -> Task | None:
        """The first job that can be begun, or the source checkpoint that it needs first."""
        for job in self._waiting:
            missing = self._missing_source(job)
            if not self._in_time(job, missing) or (missing and missing.key in self._begun):
                continue
            if missing:
                return missing
            self._waiting.remove(job)
            return job
        return None

    def _missing_source(self, job: Job) -> Source | None:
        """The source checkpoint that a job needs and that isn't there."""
        if job.source is None or self._store.has_predictions(job.tag_key) or self._store.has_source(job.source.key):
            return None
        return job.source

    def _in_time(self, job: Job, missing: Source | None) -> bool:
        """Whether a job can be begun, by the longest of its kind that is known."""
        if self._limit is None:
            return True
        left = self._limit - self._clock()
        needed = 0.0 if self._store.has_predictions(job.tag_key) else self._longest.get(_kind(job), 0.0)
        if missing and missing.key not in self._begun:
            needed += self._longest.get(_kind(missing), 0.0)
        return left > 0 and needed <= left

    def _took(self, kind: tuple[str, str], seconds: float) -> None:
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))

    def _source_ended(self, source: Source, end: End, seconds: float) -> None:
        """Tell of a source checkpoint; if there is none, the cells that need it fail."""
        if not end.why:
            tell(f"source {source.data}: made in {seconds:.0f} s")
            return
        lost = [job for job in self._waiting if job.source and job.source.key == source.key]
        self._waiting = [job for job in self._waiting if job not in lost]
        for job in lost:
            self._cell_ended(job, End(f"source data {source.data}: {end.why}", end.try_again), seconds)

    def _cell_ended(self, job: Job, end: End, seconds: float) -> None:
        """Keep and tell what became of a cell."""
        cell = None if end.why else self._store.read_cell(job.key, job.place)
        if cell is None:
            cell = Cell(job.place, State.FAILED, end.why or "its outcome can't be read back; the next run tries again")
            with suppress(WriteError):
                self._store.write_cell(job.key, cell, try_again=end.try_again or not end.why)
        self.done[job.key] = cell
        self._bar.advance()
        tell(f"{name_of(cell.place)}: {said(cell)}, {seconds:.0f} s")


def name_of(place: Place) -> str:
    """A cell's place in words."""
    protocol = f", {place.protocol}" if place.protocol != "default" else ""
    return f"{place.system}, {place.target}, {place.size}, draw {place.draw}, seed {place.seed}{protocol}"


def said(cell: Cell) -> str:
    """A cell's outcome in words."""
    return f"F1 {percent(cell.scores['micro']['f1'])}" if cell.state is State.DONE else f"{cell.state}: {cell.why}"


def tell(line: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(f"{visible(line)}\n")
    sys.stderr.flush()


def _kind(task: Task) -> tuple[str, str]:
    """What tasks of like length have in common."""
    return ("source", task.data) if isinstance(task, Source) else (task.place.target, task.place.size)
