"""A tagger in a process that is forked while another thread works; threads: test_batch.py."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any

import pytest

from nerbert.records import EntityLabel
from nerbert.tagger.pending import AskedHeads
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.serve.heads import DEADLINE
from tests.tagger.test_labels import NamesHead


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
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work)
        try:
            assert _WaitingHead.reached.wait(DEADLINE)
            yield
        finally:
            _WaitingHead.go_on.set()


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
        child.join(DEADLINE)
        ended = child.exitcode
        child.kill()
    assert ended == 0
    assert answers.get() == ["ship"]
