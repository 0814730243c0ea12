"""One tagger in sixteen threads, in asyncio's, and in a process that is forked while another thread works."""

import asyncio
import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from nerbert.records import EntityLabel
from nerbert.tagger.export import export
from nerbert.tagger.pending import AskedHeads
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.serve.heads import DEADLINE, Gate, ToldHead
from tests.tagger.batches import TEXTS
from tests.tagger.test_labels import NamesHead

THREADS = 16
LABELS = [[f"label {number}", "ship", f"port {number % 3}: where ships call"] for number in range(20)]
"""More lists than a tagger keeps the heads of."""
Asked = tuple[str, Sequence[str] | None]


@pytest.fixture(scope="module")
def folder(tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny tagger with torch's weights and both graphs."""
    copy = shutil.copytree(tiny_tagger, tmp_path_factory.mktemp("concurrency") / "tagger")
    export(copy, int8=True)
    return copy


@pytest.fixture(params=["torch fp32", "onnx fp32", "onnx int8", "gliner"])
def tagger(request: pytest.FixtureRequest, folder: Path) -> Callable[[], Tagger]:
    """What loads a tagger; GLiNER's finds something, however unsure."""
    if request.param == "gliner":
        return partial(Tagger.load, request.getfixturevalue("tiny_gliner"), device="cpu", threads=1, thresholds=0.0)
    backend, precision = request.param.split()
    return partial(Tagger.load, folder, backend=backend, precision=precision, device="cpu", threads=1)


def asked_of(tagger: Tagger) -> list[Asked]:
    sets: Sequence[Sequence[str] | None] = [None, tagger.types[:2]] if tagger.types else LABELS
    return [(text, labels) for text in TEXTS[:3] for labels in sets]


def test_sixteen_threads_get_the_answers_of_one(tagger: Callable[[], Tagger]) -> None:
    """Each asks by itself for each text, the labels in an order of its own."""
    alone, shared, barrier = tagger(), tagger(), Barrier(THREADS)
    asked = asked_of(alone)
    wanted = [alone.tag(*each) for each in asked]
    assert sum(map(len, wanted)) > 2

    def work(number: int) -> None:
        barrier.wait(DEADLINE)
        for place in random.Random(number).sample(range(len(asked)), len(asked)):
            assert shared.tag(*asked[place]) == wanted[place]

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_event_loops_share_a_tagger(folder: Path) -> None:
    """Three loops in threads of their own, each with sixteen texts in its threads."""
    tagger = Tagger.load(folder, backend="onnx", precision="fp32", threads=1)
    texts = [f"{TEXTS[0]} {TEXTS[2]} {number}" for number in range(16)]
    wanted = [tagger.tag(each) for each in texts]
    assert all(wanted)

    async def tagged() -> list[Spans]:
        return await asyncio.gather(*(asyncio.to_thread(tagger.tag, each) for each in texts))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda _: asyncio.run(tagged()), range(3))) == [wanted] * 3


def test_what_is_cancelled_in_the_model_ends_there_and_harms_nobody(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    tagger = Tagger(ToldHead.at(gate), SPLITTER, "en")

    async def run() -> Spans:
        gate.close()
        held = asyncio.create_task(asyncio.to_thread(tagger.tag, "hold the ship", ["ship"]))
        await asyncio.to_thread(gate.held)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        other = await asyncio.to_thread(tagger.tag, "a port", ["port"])
        assert gate.holding() == 1, "Python can't stop a thread"
        gate.open()
        return other

    assert [each.type for each in asyncio.run(run())] == ["port"]
    assert gate.holding() == 0
    assert [each.type for each in tagger.tag("hold the ship", ["ship"])] == ["ship"]


class _WaitingHead(NamesHead):
    """Waits while it is made for the label `ship`, in the process that started."""

    reached, go_on = Event(), Event()

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> NamesHead:
        self.reached.set()
        self.go_on.wait(DEADLINE)
        return super().for_labels(labels, thresholds)


@contextmanager
def _busy(work: Callable[[], object]) -> Iterator[None]:
    """Let a thread be in the middle of making a head."""
    _WaitingHead.reached.clear()
    _WaitingHead.go_on.clear()
    thread = Thread(target=work)
    thread.start()
    try:
        assert _WaitingHead.reached.wait(DEADLINE)
        yield
    finally:
        _WaitingHead.go_on.set()
        thread.join()


def _tagged(tagger: Tagger, answers: Any) -> None:
    _WaitingHead.go_on.set()
    answers.put([each.type for each in tagger.tag("a ship", ["ship"])])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("lock", ["of these labels", "of all"])
def test_a_process_forked_while_a_thread_asks_does_not_wait_for_it(lock: str) -> None:
    tagger, context = Tagger(_WaitingHead(), SPLITTER, "en"), multiprocessing.get_context("fork")
    heads: AskedHeads = tagger._heads

    def hold() -> None:
        with heads._lock:
            _WaitingHead.reached.set()
            _WaitingHead.go_on.wait(DEADLINE)

    with _busy(hold if lock == "of all" else partial(tagger.tag, "a ship", ["ship"])):
        answers = context.SimpleQueue()
        child = context.Process(target=_tagged, args=(tagger, answers))
        child.start()
        child.join(DEADLINE / 2)
        ended = child.exitcode
        child.kill()
    assert ended == 0
    assert answers.get() == ["ship"]
