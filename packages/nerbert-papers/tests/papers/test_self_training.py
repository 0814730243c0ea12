"""Labelling anew, against the plainest way to do it; and what is said of it."""

from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.labels import bio_from_spans, spans_from_bio
from nerbert.metrics.score import Columns, decode_columns
from nerbert.model.windows import IGNORED, Window, Windows, open_windows, write_windows
from nerbert.training.batches import TrainingData, collate
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import FINETUNE, EpochColumns
from nerbert.training.sections import chosen_objective, make_settings
from nerbert_papers import self_training
from nerbert_papers.self_training import SelfTraining, SelfTrainingSettings, compare_spans, decode_spans
from tests.encoder.preparing import by_two_processes
from tests.raised import raises

TYPES = ("boat", "place", "who")
TAGS = ["O", *(f"{prefix}-{type_}" for type_ in TYPES for prefix in "BI")]
Found = list[tuple[int, int, int]]


def settings_of(**more: Any) -> PretrainSettings:
    values: dict[str, Any] = {"corpus": "corpus", "precision": "fp32", "threads": 1, "max_tokens_per_batch": 60}
    return make_settings(PretrainSettings, values | more)


def plain_spans(chances: Any, threshold: float) -> Found:
    """The rule of `decode_spans`, word by word, of one window."""
    found: Found = []
    word = 0
    while word < len(chances):
        type_ = max(range(len(TYPES)), key=lambda each: (chances[word][1 + 2 * each], -each))
        if chances[word][1 + 2 * type_] > threshold:
            for end in range(word, len(chances)):
                goes_on = chances[end + 1][2 + 2 * type_] if end + 1 < len(chances) else 0
                if (chances[end][1 + 2 * type_] + chances[end][2 + 2 * type_]) * (1 - goes_on) > threshold:
                    found.append((word, end, type_))
                    word = end
                    break
        word += 1
    return found


def plain_labels(length: int, spans: Found) -> list[int]:
    named = [(first, last + 1, TYPES[type_]) for first, last, type_ in spans]
    return [TAGS.index(tag) for tag in bio_from_spans(length, named)]


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.2, 0.3, 0.5])
def test_decoding_is_the_rule_word_by_word(threshold: float) -> None:
    random = np.random.default_rng(5)
    lengths = random.integers(1, 9, 300)
    logits = random.normal(0, 2, (int(lengths.sum()), len(TAGS)))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = np.repeat(np.arange(300), lengths)
    labels, begin, dropped = decode_spans(chances, rows, threshold), 0, 0
    for length in lengths.tolist():
        own = chances[begin : begin + length]
        spans = plain_spans(own, threshold)
        assert labels[begin : begin + length].tolist() == plain_labels(length, spans)
        dropped += sum(own[word][1::2].max() > threshold for word in range(length)) - len(spans)
        begin += length
    assert (labels > 0).any()
    assert (dropped > 0) == (threshold > 0)


def some_windows(count: int) -> Windows:
    """Windows with words that share a piece, and bad labels."""
    random, found = Random(3), []
    for number in range(count):
        words, places, labels = [], [], list[int]()
        word, place = random.randrange(3), 1
        for _ in range(random.randrange(1, 12)):
            kind = random.random()
            label = random.randrange(len(TAGS))
            rows = [(word, place, label)]
            if kind < 0.2:  # the next word has no piece of its own
                rows.append((word + 1, place, IGNORED))
                word += 1
            elif kind < 0.4:
                rows = [(word, place, IGNORED)]
            for each in rows:
                words.append(each[0])
                places.append(each[1])
                labels.append(each[2])
            word, place = word + 1, place + 1
        ids = (1, *(random.randrange(5, 50) for _ in range(place - 1)), 1)
        found.append(Window(number, ids, tuple(words), tuple(places), tuple(labels)))
    return Windows.pack(found)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=50,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=len(TAGS),
    )
    made = BertForTokenClassification(config).eval()
    with torch.no_grad():
        made.classifier.weight.mul_(60)
    return made


def made(settings: PretrainSettings) -> SelfTraining:
    return SelfTraining(TYPES, settings.of(SelfTrainingSettings), settings)


def relabelled(model: Any, windows: Windows, epoch: int = 1, before: Any = None, **more: Any) -> EpochColumns:
    settings = settings_of(**more)
    numbers = np.arange(len(windows) - 5)
    data = TrainingData(windows, lambda _: np.repeat(numbers, 2), 0)
    begun = made(settings).begin_epoch(model, data, epoch, before or {}, make_process_group(settings))
    assert begun is not None
    return begun


def plain(model: Any, windows: Windows, number: int, threshold: float) -> list[int]:
    """The labels of a window, computed alone."""
    batch = collate(windows, np.array([number]), 0)
    with torch.no_grad():
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[0, batch.columns]
    chances = logits.softmax(-1).numpy()
    begin = int(windows.word_ends[number - 1]) if number else 0
    rows = range(len(batch.columns))
    words, labels = windows.words[begin:], windows.labels[begin : begin + len(rows)].tolist()
    first = [
        row
        for row in rows
        if not row or (words[row] != words[row - 1] and batch.columns[row] != batch.columns[row - 1])
    ]
    spans = plain_spans(chances[first], threshold)
    of_words = dict(zip(first, plain_labels(len(first), spans), strict=True))
    found, last = [], 0
    for row in rows:
        last = of_words.get(row, last)
        inside = TAGS.index("I" + TAGS[last][1:]) if last else 0
        label = last if row in of_words else inside
        found.append(label if labels[row] != IGNORED else IGNORED)
    return found


@pytest.mark.parametrize("threshold", [0.1, 0.35])
def test_all_windows_are_labelled_anew(model: Any, threshold: float) -> None:
    windows = some_windows(60)
    labels = relabelled(model, windows, self_training={"threshold": threshold}).columns["labels"]
    assert labels.dtype == windows.labels.dtype
    for number in range(60):
        own = slice(int(windows.word_ends[number - 1]) if number else 0, int(windows.word_ends[number]))
        expected = plain(model, windows, number, threshold) if number < 55 else windows.labels[own].tolist()
        assert labels[own].tolist() == expected
    assert len(set(labels.tolist())) == len(TAGS) + 1


def test_parts_of_windows_and_labels_in_a_file_change_nothing(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = some_windows(300)
    whole = relabelled(model, windows)
    write_windows(tmp_path, [windows])
    monkeypatch.setattr(self_training, "_PART", 7)
    in_parts = relabelled(model, open_windows(tmp_path))
    assert isinstance(in_parts.columns["labels"], np.memmap)
    assert np.array_equal(in_parts.columns["labels"], whole.columns["labels"])
    assert in_parts.figures == whole.figures
    assert {each.stem for each in tmp_path.iterdir()} == {each.name for each in fields(Windows)} | {"windows"}


def test_two_processes_label_as_one(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is gathered."""
    windows = some_windows(40)
    data, alone = TrainingData(windows, lambda _: np.arange(35), 0), relabelled(model, windows)
    monkeypatch.setattr(self_training, "_PART", 7)
    shared = by_two_processes(lambda group: made(settings_of()).begin_epoch(model, data, 1, {}, group))
    assert shared is not None
    assert np.array_equal(alone.columns["labels"], shared.columns["labels"])
    assert alone.figures == shared.figures


def test_the_first_epoch_has_the_labels_of_the_data_and_others_are_compared(model: Any) -> None:
    windows, settings = some_windows(40), settings_of()
    data = TrainingData(windows, lambda _: np.arange(40), 0)
    assert made(settings).begin_epoch(model, data, 0, {}, make_process_group(settings)) is None
    first = relabelled(model, windows)
    again = relabelled(model, windows, 2, first.columns)
    assert np.array_equal(again.columns["labels"], first.columns["labels"])
    assert again.figures["kept"] == first.figures["kept"] + first.figures["added"] + first.figures["changed"]
    assert [again.figures[name] for name in ("added", "changed", "removed")] == [0, 0, 0]


def plain_compared(was: set[Any], now: set[Any]) -> dict[str, set[Any]]:
    def over(span: Any, others: set[Any]) -> bool:
        return any(span[0] < other[1] and other[0] < span[1] for other in others)

    new = now - was
    return {
        "added": {span for span in new if not over(span, was)},
        "kept": now & was,
        "changed": {span for span in new if over(span, was)},
        "removed": {span for span in was if not over(span, now)},
    }


def rows_of(spans: Columns) -> set[Any]:
    return set(zip(spans.starts.tolist(), spans.ends.tolist(), spans.types.tolist(), strict=True))


def test_spans_are_compared_as_sets_are() -> None:
    random = np.random.default_rng(2)
    rows = np.repeat(np.arange(60), random.integers(1, 9, 60))
    found = []
    for _ in range(2):
        labels = random.choice([IGNORED, 0, 0, 1, 2, 3, 4], len(rows))
        spans = decode_columns(labels, np.flatnonzero(np.diff(rows, prepend=-1)))
        expected, begin = set(), 0
        for row in range(60):
            tags = [TAGS[max(0, label)] for label in labels[rows == row].tolist()]
            expected |= {(begin + a, begin + b, TYPES.index(type_) + 1) for a, b, type_ in spans_from_bio(tags)}
            begin += len(tags)
        assert rows_of(spans) == expected
        found.append((spans, expected))
    (was, was_set), (now, now_set) = found
    changes = {name: rows_of(spans) for name, spans in compare_spans(was, now).items()}
    assert changes == plain_compared(was_set, now_set)
    assert all(changes.values())


def test_it_is_for_pre_training_alone() -> None:
    with raises(SettingsError, "is for `nerbert pretrain` only", setting="objective"):
        chosen_objective(FinetuneSettings(objective="self_training"), FINETUNE)
