"""Texts of one batch: labels and thresholds of their own, cancelled ones, faults, threads, cost, coverage."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.model.heads import Entities
from nerbert.model.linear import LinearHead
from nerbert.records import EntityLabel, Example
from nerbert.tagger.export import export
from nerbert.tagger.pending import AskedHeads, TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.tagger.batches import TEXTS, Load, check_batch, check_cost, check_same, check_threads
from tests.tagger.test_answering import fixed
from tests.tagger.test_concept_backends import made
from tests.tagger.test_labels import NamesHead

OPEN = (["ship", "city"], ["port: where ships call", "person", "ship"], ["state"])
KINDS = ["linear-torch", "linear-onnx", "concepts-torch", "concepts-onnx"]


@pytest.fixture(scope="module")
def folders(tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tagger of fixed types and two encoders of one space, both exported; read only."""
    folder = tmp_path_factory.mktemp("batch")
    found = {"linear": shutil.copytree(tiny_tagger, folder / "linear"), "concepts": made(folder / "concepts")}
    for each in found.values():
        export(each)
    return found


@pytest.fixture(params=KINDS)
def load(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Load:
    """What loads a tagger, in fp32."""
    name, _, backend = request.param.partition("-")
    return partial(Tagger.load, folders[name], backend=backend, precision="fp32", device="cpu", threads=1)


@pytest.fixture
def label_sets(load: Load) -> Sequence[Sequence[str] | None]:
    types = load().types
    return (None, types[:2], types[1:], types[-1:]) if types else OPEN


def test_each_answer_is_that_of_the_text_alone(load: Load, label_sets: Sequence[Sequence[str] | None]) -> None:
    check_batch(load, label_sets)


def test_eight_threads_get_the_answers_of_one(load: Load, label_sets: Sequence[Sequence[str] | None]) -> None:
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


def test_of_a_truncated_sentence_the_beginning_is_read(folders: dict[str, Path]) -> None:
    load = partial(Tagger.load, folders["linear"], precision="fp32")
    long = " ".join(f"Margarethe {number}" for number in range(400))
    text = f"{TEXTS[0]}\n{long}\n {TEXTS[0]}"
    whole, cut = load().tag(text), load(on_too_long="truncate").tag(text)
    assert whole.read == len(text)
    left = len(text) - cut.read
    assert 0 < left < len(long)
    end = len(TEXTS[0]) + 1 + len(long) - left
    assert not [each for each in cut if end < each.start < len(text) - len(TEXTS[0])]
    assert [each.text for each in cut if each.start > end] == [
        each.text for each in whole if each.start > len(text) - 57
    ]
    head = load().head
    assert isinstance(head, LinearHead)
    (ids,) = head.pieces.tokenizer([long[: len(long) - left]])["input_ids"]
    assert len(ids) == head.pieces.body
    assert [spans.read for spans in load(on_too_long="truncate", offsets="utf-16").tag_many(["🚢", ""])] == [1, 0]


class CountingHead(NamesHead):
    """Says how many batches there were."""

    batches: list[list[str]]

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "CountingHead":
        found = CountingHead(labels, thresholds)
        found.batches = self.batches
        return found

    def predict(self, examples: Sequence[Example]) -> Entities:
        self.batches.append([each.text for each in examples])
        if any("fault" in each.text for each in examples):
            raise InputError("no such text")
        return super().predict(examples)


@pytest.fixture
def counting() -> Tagger:
    head = CountingHead()
    head.batches = []
    return Tagger(head, SPLITTER, "en")


def batches(tagger: Tagger) -> list[list[str]]:
    head = tagger.head
    assert isinstance(head, CountingHead)
    return head.batches


def test_a_cancelled_text_goes_into_no_model(counting: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.tagger.pending._BLOCK_WORDS", 4)
    late = iter([False, True, True, True])
    requests = [
        TagRequest("a ship", ["ship"], cancelled=lambda: True), TagRequest("one ship", ["ship"]),
        TagRequest("a port here and now.\nA port\nA ship", ["port"], cancelled=lambda: next(late)),
        TagRequest("the ship", ["ship"]),
    ]  # fmt: skip
    none, one, other, last = counting.tag_batch(requests)
    assert none is None
    assert other is None
    assert isinstance(one, Spans)
    assert isinstance(last, Spans)
    assert [each.text for each in (*one, *last)] == ["ship", "ship"]
    read = [text for some in batches(counting) for text in some]
    assert "a ship" not in read
    assert sum("port" in text for text in read) <= 1


def test_what_cannot_be_tagged_fails_alone(counting: Tagger) -> None:
    rows: list[Any] = [
        ("a ship", ["ship"]), ("a ship", []), ("fault", ["ship"]), (b"bytes", ["ship"]),
        ("a port", ["port"], {"ship": 0.5}), ("a SHIP", ["ship"], 0.7), ("a ship",),
        ("a ship and a fault\nand a ship", ["ship"]), ("a port", ["port"]),
    ]  # fmt: skip
    requests = [TagRequest(*each) for each in rows]
    found = counting.tag_batch(requests)
    kinds = [type(each) for each in found]
    assert kinds == [Spans, InputError, InputError, InputError, SettingsError, Spans, InputError, InputError, Spans]
    for request, answer in zip(requests, found, strict=True):
        if isinstance(answer, NerbertError) and request.thresholds is None:
            with pytest.raises(type(answer), match=str(answer)[:20]):
                counting.tag(request.text, request.labels)  # type: ignore[arg-type]
    assert [each.text for each in found[5]] == ["SHIP"]  # type: ignore[union-attr]
    with pytest.raises(InputError, match="no such text"):
        list(counting.tag_many(["a ship", "fault"], ["ship"]))
    assert counting.tag_batch([]) == []


def test_own_thresholds_win_over_the_taggers() -> None:
    tagger = fixed({"ship": 0.95, "port": 0.5})
    text = "a SHIP, a ship, a PORT"
    bounds: list[Any] = [None, 0.0, 0.7, {"ship": 0.8}, {"port": 1.0}, {"shp": 0.1}]
    *found, wrong = tagger.tag_batch([TagRequest(text, None, each) for each in bounds])
    assert [[each.text for each in spans] for spans in found] == [  # type: ignore[union-attr]
        ["PORT"], ["SHIP", "ship", "PORT"], ["SHIP", "PORT"], ["SHIP", "PORT"], []]  # fmt: skip
    assert isinstance(wrong, SettingsError)
    check_same(tagger.tag_batch([TagRequest(text)])[0], tagger.tag(text))


def test_heads_of_the_last_labels_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.tagger.pending._KEPT", 2)
    heads, labels = AskedHeads(), [(EntityLabel(name),) for name in "abc"]
    one, other = (heads.find(NamesHead(), each, (0.5,)) for each in labels[:2])
    assert heads.find(NamesHead(), labels[0], (0.5,)) is one
    heads.find(NamesHead(), labels[2], (0.5,))
    assert heads.find(NamesHead(), labels[0], (0.5,)) is one
    assert heads.find(NamesHead(), labels[1], (0.5,)) is not other
    assert heads.find(NamesHead(), labels[0], (0.6,)) is not one
