"""Decide which job of a run is next, keep its outcome, and stop in time.

Jobs are in order of worth; one that waits for a source checkpoint lets others go first. Under a time limit no cell is
begun that would end too late, judged by the longest one of its kind. The price: a cell of an unknown kind is begun
until the last moment, and cells under way still finish when the time is up.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nerbert.errors import WriteError
from nerbert.evaluation.benchmark.cells import TRY_AGAIN, Cell, CellKey, State
from nerbert.evaluation.benchmark.inputs import Job, SourceTraining
from nerbert.evaluation.benchmark.pool import Processes, Task
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.worker import End
from nerbert.terminal import Progress, duration, percent, tell

NO_ROOM = "takes no more"
"""How the reason ends of a cell that wasn't begun since the output can't be written."""
_UNREAD = "its outcome can't be read back; the next run tries again"
_Kind = tuple[str, ...]


class _Begun(NamedTuple):
    when: float
    trains: bool
    """Whether it does more than score anew."""


class Scheduler:
    """Runs jobs by a crew; `done` holds what came out, by key; `stopped` says why nothing more was begun, if so."""

    def __init__(
        self, jobs: list[Job], store: Store, crew: Processes, bar: Progress, limit: float | None,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._waiting, self._store, self._crew, self._bar, self._count = jobs, store, crew, bar, len(jobs)
        self._limit, self._clock = limit, clock
        self._tagged = {job.key for job in jobs if store.has_predictions(job.tag_key)}
        """What had only to be scored when the run began."""
        self.done: dict[str, Cell] = {}
        self.stopped = ""
        self._begun: dict[str, _Begun] = {}
        """What is under way."""
        self._longest: dict[_Kind, float] = {}
        self._unmade: dict[str, End] = {}
        """Source checkpoints that can't be made."""
        self._requeued: set[str] = set()

    def learn(self, cells: Iterable[Cell]) -> None:
        """Learn from earlier runs' cells how long their like takes."""
        for cell in cells:
            if cell.state is State.DONE:
                self._took(_kinds_of(cell.place), sum(each["wall"] for each in cell.facts["seconds"].values()))

    def time_left(self) -> str:
        """Return `, about 3 min left` for the jobs that wait; "" if none does or the time of one's like isn't known."""
        seconds = [self._takes(job) for job in self._waiting if job.key not in self._tagged]
        return f", about {duration(sum(seconds) / self._crew.workers)} left" if seconds and all(seconds) else ""

    def run(self) -> None:
        """Run all that can be run, until nothing is left or the time is up."""
        while True:
            while self._crew.free and (task := self._next()) is not None:
                trains = isinstance(task, SourceTraining) or not self._store.has_predictions(task.tag_key)
                self._begun[task.key] = _Begun(self._clock(), trains)
                self._crew.start(task)
            if not self._crew.busy:
                return
            for task, end in self._crew.wait():
                begun = self._begun.pop(task.key)
                seconds = self._clock() - begun.when
                if begun.trains and not end.why:
                    self._took(_kinds(task), seconds)
                if end.full:
                    self._stop(end.why)
                if isinstance(task, SourceTraining):
                    self._source_ended(task, end, seconds)
                else:
                    self._cell_ended(task, end, seconds)

    def _next(self) -> Task | None:
        """Return the first job that can be begun, or the source checkpoint that it needs first."""
        for job in [] if self.stopped else self._waiting:
            missing = self._missing_source(job)
            if not self._in_time(job, missing) or (missing and missing.key in self._begun):
                continue
            if missing:
                return missing
            self._waiting.remove(job)
            return job
        return None

    def _missing_source(self, job: Job) -> SourceTraining | None:
        """Return the source checkpoint that a job needs and that isn't there."""
        if job.source is None or self._store.has_predictions(job.tag_key) or self._store.has_source(job.source.key):
            return None
        return job.source

    def _in_time(self, job: Job, missing: SourceTraining | None) -> bool:
        """Return whether a job can be begun, by the longest of its kind that is known."""
        if self._limit is None:
            return True
        left = self._limit - self._clock()
        needed = 0.0 if self._store.has_predictions(job.tag_key) else self._takes(job)
        if missing and missing.key not in self._begun:
            needed += self._takes(missing)
        return left > 0 and needed <= left

    def _takes(self, task: Task) -> float:
        """Return the longest of its own kind, else of what is like it, else 0."""
        return next((self._longest[kind] for kind in _kinds(task) if kind in self._longest), 0.0)

    def _took(self, kinds: Iterable[_Kind], seconds: float) -> None:
        for kind in kinds:
            self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))

    def _stop(self, why: str) -> None:
        """Begin nothing more, since nothing can be kept."""
        if not self.stopped:
            self.stopped = f"{self._store.folder} {NO_ROOM}"
            tell(f"{self.stopped}, so no more cells are begun: {why}")

    def _source_ended(self, source: SourceTraining, end: End, seconds: float) -> None:
        """Tell of a source checkpoint; if there is none, the cells that need it fail."""
        if not end.why and not self._store.has_source(source.key):
            end = End(_UNREAD, try_again=True)
        if not end.why:
            tell(f"source {source.data}: made in {seconds:.0f} s")
            return
        self._unmade[source.key] = End(f"source data {source.data}: {end.why}", end.try_again)
        lost = [job for job in self._waiting if job.source and job.source.key == source.key]
        self._waiting = [job for job in self._waiting if job not in lost]
        for job in lost:
            self._cell_ended(job, self._unmade[source.key], seconds)

    def _cell_ended(self, job: Job, end: End, seconds: float) -> None:
        """Keep and tell what became of a cell; one whose source checkpoint is gone has a second chance."""
        if end.at_once and job.key not in self._requeued:
            self._requeued.add(job.key)
            unmade = self._unmade.get(job.source.key) if job.source else None
            if unmade is None:
                self._waiting.insert(0, job)
                return
            end = unmade
        cell = None if end.why else self._store.read_cell(job.key, job.place)
        if cell is None:
            cell = self._failed(job, end if end.why else End(_UNREAD, try_again=True))
        self.done[job.key] = cell
        self._bar.advance()
        ended = f"{len(self.done)} of {self._count} cells{self.time_left()}"
        tell(f"{name_of(cell.place)}: {said(cell)}, {seconds:.0f} s; {ended}")

    def _failed(self, job: Job, end: End) -> Cell:
        """Return a cell that failed, kept if that can be."""
        cell = Cell(job.place, State.FAILED, end.why, facts={TRY_AGAIN: True} if end.try_again else {})
        if self.stopped and end.try_again:
            return cell
        try:
            self._store.write_cell(job.key, cell)
        except (WriteError, OSError) as error:
            self._stop(str(error))
        return cell


def name_of(place: CellKey) -> str:
    """Return a cell's place in words."""
    protocol = f", {place.protocol}" if place.protocol != "default" else ""
    return f"{place.system}, {place.target}, {place.size}, draw {place.draw}, seed {place.seed}{protocol}"


def said(cell: Cell) -> str:
    """Return a cell's outcome in words."""
    return f"F1 {percent(cell.scores['micro']['f1'])}" if cell.state is State.DONE else f"{cell.state}: {cell.why}"


def _kinds(task: Task) -> tuple[_Kind, ...]:
    """Return what tasks of like length have in common, the closest first."""
    if isinstance(task, SourceTraining):
        return ("source", task.data, task.encoder, str(task.settings)), ("source", task.data)
    return _kinds_of(task.place)


def _kinds_of(place: CellKey) -> tuple[_Kind, ...]:
    return (place.system, place.protocol, place.target, place.size), (place.target, place.size)
