"""Which cell is next, when there is no time for another, and what becomes of those that fail: by a made-up crew."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nerbert.errors import WriteError
from nerbert.evaluation.benchmark.cells import TRY_AGAIN, Cell, CellKey, State
from nerbert.evaluation.benchmark.inputs import Job, SourceTraining
from nerbert.evaluation.benchmark.pool import Processes, Task
from nerbert.evaluation.benchmark.scheduler import NO_ROOM, Scheduler
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.worker import End
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.terminal import Progress

SETTINGS = FinetuneSettings()
SOURCE = SourceTraining("source", "conll2003", Path("far"), "e", SETTINGS)
LATER = 1000.0
EndOf = Callable[[Task], End]


@dataclass
class MadeUp(Processes):
    """A crew whose tasks take the seconds that are told; `begun` is what was started, and when."""

    store: Store
    seconds: Callable[[Task], float]
    end: EndOf = lambda _: End()
    workers: int = 1
    now: float = LATER
    begun: list[tuple[str, float]] = field(default_factory=list)
    _at_work: list[tuple[float, Task]] = field(default_factory=list)

    @property
    def free(self) -> bool:
        return len(self._at_work) < self.workers

    @property
    def busy(self) -> bool:
        return bool(self._at_work)

    def start(self, task: Task) -> None:
        assert self.free
        self.begun.append((task.key, self.now - LATER))
        self._at_work.append((self.now + self.seconds(task), task))

    def wait(self) -> list[tuple[Task, End]]:
        first = min(self._at_work, key=lambda each: each[0])
        self._at_work.remove(first)
        self.now, task = first
        end = self.end(task)
        if not end.why:
            self._make(task)
        return [(task, end)]

    def _make(self, task: Task) -> None:
        if isinstance(task, SourceTraining):
            made = self.store.folder / "made"
            made.mkdir()
            (made / "config.json").touch()
            self.store.keep_source(task.key, made, {"source": {"wall": 1, "cpu": 1}})
        else:
            self.store.write_cell(task.key, done(task.place))


def done(place: CellKey, wall: float = 0.0) -> Cell:
    return Cell(place, State.DONE, "", {"micro": {"f1": 0.5}}, {"seconds": {"train": {"wall": wall, "cpu": 1.0}}})


def job(key: str, target: str = "one", size: str = "all", source: SourceTraining | None = None) -> Job:
    place = CellKey("A", target, size, 1, 1, "p")
    return Job(place, f"tag {key}", key, Path(target), "e", "", SETTINGS, {}, source)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    for folder in (made.cells, made.predictions, made.sources):
        folder.mkdir()
    return made


def work(crew: MadeUp, jobs: Iterable[Job], minutes: float | None = None, known: Iterable[Cell] = ()) -> Scheduler:
    limit = None if minutes is None else LATER + 60 * minutes
    made = Scheduler(list(jobs), crew.store, crew, Progress(), limit, lambda: crew.now)
    made.learn(known)
    made.run()
    return made


def test_cells_run_in_order(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    crew = MadeUp(store, lambda _: 10)
    assert set(work(crew, [job("b"), job("a"), job("c")]).done) == {"a", "b", "c"}
    assert crew.begun == [("b", 0), ("a", 10), ("c", 20)]
    ends = ("1 of 3 cells, about 20 s left", "2 of 3 cells, about 10 s left", "3 of 3 cells")
    said = [f"A, one, all, draw 1, seed 1, p: F1 50.00, 10 s; {end}" for end in ends]
    assert capsys.readouterr().err.splitlines() == said


def test_several_at_once(store: Store) -> None:
    crew = MadeUp(store, lambda task: 30 if task.key == "a" else 10, workers=2)
    work(crew, [job(key) for key in "abcd"])
    assert crew.begun == [("a", 0), ("b", 0), ("c", 10), ("d", 20)]


def test_a_source_is_made_once_and_others_go_first(store: Store) -> None:
    crew = MadeUp(store, lambda task: 100 if isinstance(task, SourceTraining) else 10, workers=2)
    found = work(crew, [job("a", source=SOURCE), job("b", source=SOURCE), job("c"), job("d")])
    assert crew.begun == [("source", 0), ("c", 0), ("d", 10), ("a", 100), ("b", 100)]
    assert len(found.done) == 4
    again = MadeUp(store, lambda _: 10)
    work(again, [job("e", source=SOURCE)])
    assert again.begun == [("e", 0)]


def test_tagged_sentences_need_no_source(store: Store) -> None:
    (store.predictions / "tag a.json").write_text("{}")
    crew = MadeUp(store, lambda _: 10)
    work(crew, [job("a", source=SOURCE)])
    assert crew.begun == [("a", 0)]


def test_a_source_that_fails_takes_its_cells_along(store: Store) -> None:
    crew = MadeUp(store, lambda _: 10, lambda task: End("no entity") if isinstance(task, SourceTraining) else End())
    found = work(crew, [job("a", source=SOURCE), job("b"), job("c", source=SOURCE)])
    assert crew.begun == [("source", 0), ("b", 10)]
    assert {key: cell.why for key, cell in found.done.items()} == {
        "a": "source data conll2003: no entity", "b": "", "c": "source data conll2003: no entity",
    }  # fmt: skip


@pytest.mark.parametrize("again", [True, False])
def test_a_cell_that_fails_is_kept_and_the_others_go_on(store: Store, again: bool) -> None:
    crew = MadeUp(store, lambda _: 10, lambda task: End("killed", again) if task.key == "a" else End())
    found = work(crew, [job("a"), job("b")])
    assert (found.done["a"].state, found.done["a"].why) == (State.FAILED, "killed")
    assert found.done["b"].state is State.DONE
    kept = store.read_cell("a", job("a").place)
    assert kept == (None if again else found.done["a"])
    assert found.done["a"].facts == ({TRY_AGAIN: True} if again else {})
    assert store.read_cell("a", job("a").place, retry=True) is None


def test_an_outcome_that_is_no_outcome_is_a_failure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MadeUp, "_make", lambda *_: None)
    found = work(MadeUp(store, lambda _: 10), [job("a")])
    assert "can't be read back" in found.done["a"].why


def test_nothing_is_begun_when_the_time_is_up(store: Store) -> None:
    crew = MadeUp(store, lambda _: 50)
    jobs = [job(key, target=key) for key in "abc"]
    assert set(work(crew, jobs, minutes=1).done) == {"a", "b"}
    assert crew.begun == [("a", 0), ("b", 50)], "begun in time, ended late: nothing was known of b"
    assert [each.key for each in jobs] == ["a", "b", "c"]


def test_nothing_is_begun_that_would_end_late(store: Store) -> None:
    crew = MadeUp(store, lambda task: {"one": 40, "two": 15}.get(task.place.target, 1) if isinstance(task, Job) else 0)
    found = work(crew, [job("a"), job("b"), job("c", "two"), job("d", "two"), job("e", size="5")], minutes=1)
    assert crew.begun == [("a", 0), ("c", 40), ("e", 55)]
    assert set(found.done) == {"a", "c", "e"}


def test_earlier_cells_say_how_long_a_cell_takes(store: Store) -> None:
    crew = MadeUp(store, lambda _: 10)
    known = [done(job("x").place, wall=61.0), Cell(job("y", "two").place, State.FAILED, "no")]
    found = work(crew, [job("a"), job("b", "two")], minutes=1, known=known)
    assert set(found.done) == {"b"}


def test_scoring_anew_takes_no_time(store: Store) -> None:
    (store.predictions / "tag a.json").write_text("{}")
    crew = MadeUp(store, lambda _: 1)
    assert set(work(crew, [job("a"), job("b")], minutes=1, known=[done(job("x").place, wall=61.0)]).done) == {"a"}


def test_a_sources_time_counts(store: Store) -> None:
    other = SourceTraining("other", SOURCE.data, SOURCE.folder, "f", SETTINGS)
    crew = MadeUp(store, lambda task: 35 if isinstance(task, SourceTraining) else 1)
    found = work(crew, [job("a", source=SOURCE), job("b", source=other), job("c", "two")], minutes=1)
    assert crew.begun == [("source", 0), ("a", 35), ("c", 36)]
    assert set(found.done) == {"a", "c"}


def test_a_failed_cell_says_nothing_of_time(store: Store) -> None:
    crew = MadeUp(store, lambda task: 35 if task.key == "a" else 5, lambda task: End("no" if task.key == "a" else ""))
    assert set(work(crew, [job("a"), job("b"), job("c")], minutes=1).done) == {"a", "b", "c"}


def test_the_closest_kind_says_how_long(store: Store) -> None:
    """A slow system holds a quick one of the same target up only until that one's time is known."""
    slow, quick = done(job("x").place, wall=50.0), done(job("y").place._replace(system="B"), wall=5.0)
    b = replace(job("b"), place=job("b").place._replace(system="B"))
    c = replace(job("c"), place=job("c").place._replace(system="C"))
    crew = MadeUp(store, lambda _: 15)
    found = work(crew, [job("a"), c, b], minutes=0.5, known=[slow, quick])
    assert set(found.done) == {"b"}


def test_scoring_alone_says_nothing_of_training(store: Store) -> None:
    (store.predictions / "tag a.json").write_text("{}")
    crew = MadeUp(store, lambda task: 1 if task.key == "a" else 30)
    other = done(job("x").place._replace(protocol="q"), wall=61.0)
    assert set(work(crew, [job("a"), job("b")], minutes=1, known=[other]).done) == {"a"}


def test_nothing_is_begun_on_a_full_disk(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    full = End("no room", try_again=True, full=True)
    crew = MadeUp(store, lambda task: 20 if task.key == "b" else 10, lambda task: full if task.key == "a" else End(), 2)
    found = work(crew, [job(key) for key in "abcd"])
    assert crew.begun == [("a", 0), ("b", 0)]
    assert {key: cell.state for key, cell in found.done.items()} == {"a": State.FAILED, "b": State.DONE}
    assert found.stopped == f"{store.folder} {NO_ROOM}"
    assert capsys.readouterr().err.startswith(f"{store.folder} {NO_ROOM}, so no more cells are begun: no room\n")


def test_an_outcome_that_cannot_be_kept_stops_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise WriteError("read-only")

    crew = MadeUp(store, lambda _: 10, lambda _: End("broken"))
    monkeypatch.setattr(store, "write_cell", refuse)
    assert set(work(crew, [job("a"), job("b")]).done) == {"a"}


def test_a_cell_whose_source_is_gone_has_one_more_chance(store: Store) -> None:
    """Its predictions were there when the run began, and didn't fit."""
    path = store.predictions / "tag a.json"
    path.write_text("{}")
    begun: list[str] = []

    def end(task: Task) -> End:
        begun.append(task.key)
        path.unlink(missing_ok=True)
        return End() if "source" in begun else End("gone", try_again=True, at_once=True)

    found = work(MadeUp(store, lambda _: 10, end), [job("a", source=SOURCE)])
    assert begun == ["a", "source", "a"]
    assert found.done["a"].state is State.DONE


@pytest.mark.parametrize("source_fails", [True, False])
def test_there_is_no_third_chance(store: Store, source_fails: bool) -> None:
    def end(task: Task) -> End:
        if isinstance(task, SourceTraining):
            return End("torn" if source_fails else "")
        return End("gone", try_again=True, at_once=True)

    crew = MadeUp(store, lambda _: 10, end)
    found = work(crew, [job("a", source=SOURCE)])
    assert len(crew.begun) == (1 if source_fails else 3)
    assert found.done["a"].why == ("source data conll2003: torn" if source_fails else "gone")


def test_a_source_that_is_not_whole_fails_its_cells(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MadeUp, "_make", lambda *_: None)
    crew = MadeUp(store, lambda _: 10)
    assert "can't be read back" in work(crew, [job("a", source=SOURCE)]).done["a"].why
    assert crew.begun == [("source", 0)]
