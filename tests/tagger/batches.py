"""What holds of any tagger: answers of a batch, from eight threads, and what a text costs."""

import random
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from nerbert.records import Example
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

TEXTS = (
    "The brig Margarethe was built by Larsen & Holm in Tromsø.",
    "",
    "New York, Oslo  and\nBergen. The ship left.",
    "The ship Fram left Oslo on a Monday. " * 12,
    "👩‍👩‍👧 The port of Bergen 🚢",
)
THREADS, ROUNDS, _BOUND = 8, 2, 0.05
Load = Callable[..., Tagger]


def requests_of(label_sets: Sequence[Sequence[str] | None], decodings: Sequence[str] = ("",)) -> list[TagRequest]:
    """Each text with each list of labels, with thresholds of its own and without, decodings in turn; examples too."""
    contents: list[str | Example] = [*TEXTS, Example(TEXTS[0], split_words(TEXTS[0]))]
    found = [TagRequest(text, labels, bound) for text in contents for labels in label_sets for bound in (None, _BOUND)]
    found = [replace(each, decoding=decodings[place % len(decodings)]) for place, each in enumerate(found)]
    random.Random(4).shuffle(found)
    return found


def check_same(found: object, wanted: Spans, close: float = 1e-5) -> None:
    """The same entities, as sure as rounding in another batch allows, or on another back end."""
    assert isinstance(found, Spans)
    assert (found.text, found.read) == (wanted.text, wanted.read)
    assert [replace(each, confidence=0) for each in found] == [replace(each, confidence=0) for each in wanted]
    assert [each.confidence for each in found] == pytest.approx([each.confidence for each in wanted], abs=close)


def check_batch(load: Load, label_sets: Sequence[Sequence[str] | None], decodings: Sequence[str] = ("",)) -> None:
    """Each answer is that of a tagger of its own, loaded with these options and asked for these labels alone."""
    requests = requests_of(label_sets, decodings)
    alone = {(bound, how): load(thresholds=bound, decoding=how) for bound in (None, _BOUND) for how in decodings}
    wanted = []
    for each in requests:
        tagger = alone[each.thresholds, each.decoding]  # type: ignore[index]
        (spans,) = tagger.tag_many([each.text], each.labels)
        wanted.append(spans)
    found = load().tag_batch(requests)
    for one, other in zip(found, wanted, strict=True):
        check_same(one, other)
    assert sum(map(len, wanted)) > len(requests) / 2
    assert len({each.type for spans in wanted for each in spans}) > 1


def check_threads(load: Load, label_sets: Sequence[Sequence[str] | None]) -> None:
    """Eight threads that share a tagger, which is new to all of them, get the answers that one thread gets."""
    requests = requests_of(label_sets)[::2]
    one = load()
    wanted = [one.tag_batch([each])[0] for each in requests]
    tagger, barrier = load(), Barrier(THREADS)

    def work(number: int) -> None:
        barrier.wait(60)
        for round_ in range(ROUNDS):
            order = random.Random(f"{number} {round_}").sample(range(len(requests)), len(requests))
            step = 1 + (number + round_) % 5
            for start in range(0, len(order), step):
                some = order[start : start + step]
                for place, found in zip(some, tagger.tag_batch([requests[each] for each in some]), strict=True):
                    check_same(found, wanted[place])  # type: ignore[arg-type]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(THREADS)))
    finally:
        sys.setswitchinterval(before)


def check_cost(tagger: Tagger, label_sets: Sequence[Sequence[str] | None], read: list[int], run: Any) -> None:
    """`read` gets the subwords that go through the model; `run` says whether it ran."""
    for labels in label_sets:
        for text in TEXTS:
            before = run()
            cost = tagger.cost(text, labels)
            assert run() == before
            del read[:]
            tagger.tag(text, labels)
            assert sum(read) == cost
            assert (cost == 0) == (text == "")
