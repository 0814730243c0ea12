"""Texts of one batch: labels and thresholds of their own, cancelled ones, faults, threads, cost, coverage."""

import multiprocessing
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.model.heads import Entities
from nerbert.records import EntityLabel, Example
from nerbert.tagger.export import export
from nerbert.tagger.pending import KeptHead, TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER, split_words
from tests.raised import raises
from tests.serve.heads import DEADLINE
from tests.tagger.batches import TEXTS, Load, check_batch, check_cost, check_same, check_threads
from tests.tagger.test_answering import fixed
from tests.tagger.test_concept_backends import made
from tests.tagger.test_labels import NamesHead

OPEN = (["ship", "city"], ["port: where ships call", "person", "ship"], ["state"])
KINDS = [
    pytest.param((name, backend), marks=pytest.mark.extras if backend == "onnx" else ())
    for name in ("linear", "concepts")
    for backend in ("torch", "onnx")
]


@pytest.fixture(params=KINDS, scope="module", ids="-".join)
def load(request: pytest.FixtureRequest, tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """What loads a tagger of fixed types, or two encoders of one space, in fp32; read only."""
    name, backend = request.param
    folder = tmp_path_factory.mktemp("batch") / name
    if name == "linear":
        shutil.copytree(tiny_tagger, folder)
    else:
        made(folder)
    if backend == "onnx":
        export(folder)
    return partial(Tagger.load, folder, backend=backend, precision="fp32", device="cpu", threads=1)


@pytest.fixture
def label_sets(load: Load) -> Sequence[Sequence[str] | None]:
    types = load().types
    return (None, types[:2], types[1:], types[-1:]) if types else OPEN


def test_each_answer_is_that_of_the_text_alone(load: Load, label_sets: Sequence[Sequence[str] | None]) -> None:
    check_batch(load, label_sets, ["legal", "greedy"] if load().types else ["", "touching"])


def test_eight_threads_get_the_answers_of_one(
    load: Load, label_sets: Sequence[Sequence[str] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more lists of labels than a tagger keeps the heads of."""
    monkeypatch.setattr("nerbert.tagger.tagger._KEPT", 2)
    check_threads(load, label_sets)


def test_cost_is_what_the_model_reads(load: Load, label_sets: Sequence[Sequence[str] | None]) -> None:
    tagger, read = load(), list[int]()
    head: Any = tagger.head
    scorer = head.scorer

    def spy(batch: Any) -> Any:
        read.append(int(batch.mask.sum()))
        return scorer(batch)

    tagger.head = replace(head, scorer=spy)
    check_cost(tagger, label_sets, read, lambda: len(read))
    assert tagger.cost(Example(TEXTS[0], ((0, 3),))) == tagger.cost(TEXTS[0])


def test_of_a_truncated_sentence_the_beginning_is_read(tiny_tagger: Path) -> None:
    load = partial(Tagger.load, tiny_tagger, precision="fp32", device="cpu")
    long = " ".join(f"Margarethe {number}" for number in range(400))
    text = f"{TEXTS[0]}\n{long}\n {TEXTS[0]}"
    whole, cut = load().tag(text), load(on_too_long="truncate").tag(text)
    assert whole.read == len(text)
    left = len(text) - cut.read
    assert 0 < left < len(long)
    end = len(TEXTS[0]) + 1 + len(long) - left
    last = len(text) - len(TEXTS[0]) - 1
    assert [each.text for each in cut if each.start > end] == [each.text for each in whole if each.start > last]
    head: Any = load().head
    (ids,) = head.pieces.tokenizer([long[: len(long) - left]], add_special_tokens=False)["input_ids"]
    assert len(ids) == head.pieces.body
    assert [spans.read for spans in load(on_too_long="truncate", offsets="utf-16").tag_many(["🚢", ""])] == [1, 0]


def test_a_decoding_that_a_model_lacks_fails_alone(load: Load, label_sets: Sequence[Sequence[str] | None]) -> None:
    requests = [TagRequest(TEXTS[0], label_sets[-1], decoding=how) for how in ("", "nested", "")]
    one, error, other = load().tag_batch(requests)
    assert one == other
    assert isinstance(error, SettingsError)
    assert str(error).startswith("setting decoding = 'nested': must be ")


class CountingHead(NamesHead):
    """Says how many batches there were, and what each head was asked for."""

    batches: list[list[str]]
    asked: list[tuple[str, ...]]

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "CountingHead":
        found = CountingHead(labels, thresholds)
        found.batches, found.asked = self.batches, self.asked
        self.asked.append(tuple(each.name for each in labels))
        if found.asked[-1] == ("heavy",):
            raise RuntimeError("out of memory")
        return found

    def predict(self, examples: Sequence[Example]) -> Entities:
        self.batches.append([each.text for each in examples])
        if any("fault" in each.text for each in examples):
            raise InputError("no such text")
        if any("heavy" in each.text for each in examples):
            raise RuntimeError("out of memory\n(of the GPU)")
        return super().predict(examples)

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        if any("unread" in each.text for each in examples):
            raise InputError("nobody knows")
        return super().characters_read(examples)


@pytest.fixture
def counting() -> Tagger:
    head = CountingHead()
    head.batches, head.asked = [], []
    return Tagger(head, SPLITTER, "en")


def head_of(tagger: Tagger) -> CountingHead:
    assert isinstance(tagger.head, CountingHead)
    return tagger.head


def test_a_cancelled_text_goes_into_no_model(counting: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.tagger.pending._BLOCK_WORDS", 4)
    late = iter([False, True, True, True])
    requests = [
        TagRequest("a whale", ["whale"], cancelled=lambda: True),
        TagRequest("one ship", ["ship"]),
        TagRequest("a port here and now.\nA port\nA ship", ["port"], cancelled=lambda: next(late)),
        TagRequest("the ship", ["ship"]),
    ]
    none, one, other, last = counting.tag_batch(requests)
    assert none is None
    assert other is None
    assert isinstance(one, Spans)
    assert isinstance(last, Spans)
    assert [each.text for each in (*one, *last)] == ["ship", "ship"]
    read = [text for some in head_of(counting).batches for text in some]
    assert "a whale" not in read
    assert ("whale",) not in head_of(counting).asked
    assert sum("port" in text for text in read) <= 1


def test_what_cannot_be_tagged_fails_alone(counting: Tagger) -> None:
    rows: list[Any] = [
        ("a ship", ["ship"]),
        ("a ship", []),
        ("fault", ["ship"]),
        (b"bytes", ["ship"]),
        ("a port", ["port"], {"ship": 0.5}),
        ("a SHIP", ["ship"], 0.7),
        ("a ship",),
        ("a ship", 3),
        ("a ship and a fault\nand a ship", ["ship"]),
        ("a port", ["port"]),
    ]
    requests = [TagRequest(*each) for each in rows]
    found = counting.tag_batch(requests)
    kinds = [type(each) for each in found]
    assert kinds == [Spans, InputError, InputError, InputError, SettingsError, Spans, *[InputError] * 3, Spans]
    for request, answer in zip(requests, found, strict=True):
        if isinstance(answer, NerbertError) and request.thresholds is None:
            with raises(type(answer), str(answer)[:20]):
                counting.tag(request.text, request.labels)  # type: ignore[arg-type]
    assert [each.text for each in found[5]] == ["SHIP"]  # type: ignore[union-attr]
    with raises(InputError, "no such text"):
        list(counting.tag_many(["a ship", "fault"], ["ship"]))
    for ask in (counting.with_labels, partial(counting.cost, "a")):
        with raises(InputError, "labels 3: must be a list of texts; for one label, a list of one"):
            ask(3)  # type: ignore[arg-type]
    assert counting.tag_batch([]) == []


def test_own_thresholds_win_over_the_taggers() -> None:
    tagger = fixed({"ship": 0.95, "port": 0.5})
    text = "a SHIP, a ship, a PORT"
    bounds: list[Any] = [None, 0.0, 0.7, {"ship": 0.8}, {"port": 1.0}, {"shp": 0.1}]
    *found, wrong = tagger.tag_batch([TagRequest(text, None, each) for each in bounds])
    assert [[each.text for each in spans] for spans in found] == [  # type: ignore[union-attr]
        ["PORT"],
        ["SHIP", "ship", "PORT"],
        ["SHIP", "PORT"],
        ["SHIP", "PORT"],
        [],
    ]
    assert isinstance(wrong, SettingsError)
    same, reached = tagger.tag_batch([TagRequest(text), TagRequest(text, None, found[2][0].confidence)])  # type: ignore[index]
    check_same(same, tagger.tag(text))
    assert reached == found[2], "an equal confidence is enough"


def test_a_kept_head_makes_the_one_at_other_probabilities() -> None:
    kept = KeptHead((EntityLabel("a"),))
    one = kept.at_least(NamesHead(), (0.5,))
    assert kept.at_least(NamesHead(), (0.5,)) is one
    assert kept.at_least(NamesHead(), (0.6,)) is not one


def test_each_request_takes_one_head_and_equal_ones_share_it(counting: Tagger) -> None:
    wanted: list[Any] = [(["ship"], 0.7), (("ship",), {"ship": 0.7}), ([EntityLabel("ship")], 0.7), (["ship"], 0.8)]
    found = counting.tag_batch([TagRequest(f"{number} SHIP", *each) for number, each in enumerate(wanted)])
    assert [[each.text for each in spans] for spans in found] == [["SHIP"]] * 4  # type: ignore[union-attr]
    assert head_of(counting).batches == [["0 SHIP", "1 SHIP", "2 SHIP"], ["3 SHIP"]]
    assert head_of(counting).asked == [("ship",), ("ship",)]


@pytest.mark.parametrize("room", ["tagger", "pending"])
def test_two_threads_that_ask_for_new_labels_make_one_head(monkeypatch: pytest.MonkeyPatch, room: str) -> None:
    """The first one keeps or makes it until the second waits for it, or makes another one."""
    entered, met, made = Event(), Event(), list[object]()

    class Watched:
        def __init__(self) -> None:
            self.lock = Lock()

        def __enter__(self) -> None:
            if not self.lock.acquire(blocking=False):
                met.set()
                self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    def slow(where: str) -> None:
        if where != room:
            return
        made.append(None)
        if len(made) == 1:
            entered.set()
            met.wait(60)
        met.set()

    class Kept(KeptHead):
        def __init__(self, labels: tuple[EntityLabel, ...]) -> None:
            slow("tagger")
            super().__init__(labels)

    class Slow(NamesHead):
        def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> NamesHead:
            slow("pending")
            return NamesHead(labels, thresholds)

    monkeypatch.setattr(f"nerbert.tagger.{room}.ThreadLock", Watched)
    monkeypatch.setattr("nerbert.tagger.pending.KeptHead", Kept)
    tagger = Tagger(Slow(), SPLITTER, "en")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tagger.tag, "a ship", ["ship"])
        entered.wait(60)
        assert pool.submit(tagger.tag, "a ship", ["ship"]).result(60) == first.result(60) != []
    assert len(made) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_process_forked_while_heads_are_made_does_not_wait_for_them(counting: Tagger) -> None:
    counting.tag("a ship", ["ship"])
    kept, context = counting._heads((EntityLabel("ship"),)), multiprocessing.get_context("fork")
    assert kept._head
    answers = context.SimpleQueue()
    with kept._lock:
        child = context.Process(target=lambda: answers.put([each.type for each in counting.tag("a ship", ["ship"])]))
        child.start()
        child.join(DEADLINE)
        ended = child.exitcode
        child.kill()
    assert ended == 0
    assert answers.get() == ["ship"]


@pytest.mark.parametrize("good", [0, 1])
def test_where_asking_whether_it_was_cancelled_fails_that_text_alone_fails(counting: Tagger, good: int) -> None:
    answers = iter([False] * good)
    requests = [
        TagRequest("a ship", ["ship"]),
        TagRequest("ship two", ["ship"], cancelled=lambda: next(answers)),
        TagRequest("the ship", ["ship"]),
    ]
    one, wrong, other = counting.tag_batch(requests)
    assert (type(one), type(wrong), type(other)) == (Spans, NerbertError, Spans)
    assert str(wrong) == "a request's `cancelled` failed: StopIteration()"
    assert "ship two" not in [text for some in head_of(counting).batches for text in some]


def test_a_fault_of_the_model_is_tried_once(counting: Tagger) -> None:
    texts = ["a ship", "a heavy ship", *["ship"] * 50]
    found = counting.tag_batch([TagRequest(each, ["ship"]) for each in texts])
    assert [(type(each), str(each)) for each in found] == [(NerbertError, "the model can't be run: out of memory")] * 52
    assert len(head_of(counting).batches) == 1
    *wrong, fine = counting.tag_batch([*[TagRequest("a ship", ["heavy"])] * 3, TagRequest("a ship", ["ship"])])
    assert {type(each) for each in wrong} == {NerbertError}
    assert isinstance(fine, Spans)
    assert head_of(counting).asked.count(("heavy",)) == 1
    # the second group fails when the first one's entities are there; then each text goes alone
    one, unread = counting.tag_batch([TagRequest("a ship", ["ship"]), TagRequest("an unread port", ["port"])])
    assert isinstance(unread, InputError)
    assert [each.text for each in one] == ["ship"]  # type: ignore[union-attr]


def test_halves_of_characters_in_examples_go_into_no_model(tagger: Tagger, counting: Tagger) -> None:
    example = Example("a \ud800 ship", split_words("a \ud800 ship"))
    (found,) = counting.tag_many([example], ["ship"])
    assert (found.text, [each.start for each in found]) == (example.text, [4])
    assert head_of(counting).batches == [["a \N{REPLACEMENT CHARACTER} ship"]]
    (tags,) = tagger.tag_examples([example])
    assert len(tags.tags) == len(example.words)
