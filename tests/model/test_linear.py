"""The linear head: decoding against brute force and against what BIO means, tags of words, confidences."""

from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nerbert.formats.conll import example_of
from nerbert.labels import spans_from_bio, split_tag, tag_names, word_spans
from nerbert.metrics.calibration import Scaling
from nerbert.metrics.score import score_spans
from nerbert.model.forward import TorchScorer
from nerbert.model.heads import predict_entities
from nerbert.model.linear import LinearHead, TagClasses, WordScores, decode, entities_of, word_tags
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words
from tests.encoder.backbones import predict
from tests.examples import read_examples

NAMES = tag_names(["org", "person"])
FIGURES = st.integers(-8, 8).map(lambda each: each / 2)


def scores_of(logits: list[list[float]], lengths: list[int], unread: set[int], followers: set[int]) -> WordScores:
    """Scores of words in examples of some lengths; some words have no piece, some share that of the word before."""
    offsets = np.cumsum([0, *lengths])
    own = [place for place in range(len(logits)) if place not in unread | followers]
    rows = np.array(logits, np.float32).reshape(len(logits), -1)[own] if own else np.zeros((0, len(NAMES)), np.float32)
    return WordScores(offsets, np.array(own, np.int64), rows, np.array(sorted(followers), np.int64))


@st.composite
def scores(draw: st.DrawFn, names: list[str] = NAMES, most: int = 5) -> WordScores:
    """A few short examples."""
    lengths = draw(st.lists(st.integers(0, most), min_size=1, max_size=3))
    count = sum(lengths)
    row = st.lists(FIGURES, min_size=len(names), max_size=len(names))
    logits = draw(st.lists(row, min_size=count, max_size=count))
    unread = draw(st.sets(st.sampled_from(range(count)), max_size=2)) if count else set[int]()
    begins = {int(place) for place in np.cumsum([0, *lengths])}
    able = [n for n in range(count) if n not in begins | unread and n - 1 not in unread]
    followers = draw(st.sets(st.sampled_from(able))) if able else set[int]()
    return scores_of(logits, lengths, unread, followers)


def legal(tags: list[str]) -> bool:
    """Whether an I-x always follows B-x or I-x."""
    pairs = pairwise(["O", *tags])
    return all(split_tag(b)[0] != "I" or split_tag(a)[1] == split_tag(b)[1] for a, b in pairs)


def best_by_trying(found: WordScores, names: list[str], begin: int, end: int) -> float:
    """The score of the best legal tagging of the words of one example, among all there are."""
    row_of = {int(word): found.logits[row] for row, word in enumerate(found.read)}
    followers = set(found.followers.tolist())
    choices = [range(len(names)) if word in row_of else [-1] for word in range(begin, end)]
    best = -np.inf
    for path in product(*choices):
        tags, total = list[str](), 0.0
        for word, chosen in zip(range(begin, end), path, strict=True):
            if chosen >= 0:
                tags.append(names[chosen])
                total += float(row_of[word][chosen])
            elif word in followers:
                tags.append(f"I-{split_tag(tags[-1])[1]}" if tags[-1] != "O" else "O")
            else:
                tags.append("O")
        if legal(tags):
            best = max(best, total)
    return best


@given(scores())
def test_the_legal_path_is_the_best_of_all(found: WordScores) -> None:
    classes = TagClasses(NAMES)
    tags = [each.tags for each in word_tags(found, classes, decode(found, classes, "legal"))]
    row_of = {int(word): found.logits[row] for row, word in enumerate(found.read)}
    for example, (begin, end) in zip(tags, pairwise(found.offsets.tolist()), strict=True):
        assert legal(example)
        total = sum(
            float(row_of[word][NAMES.index(example[word - begin])]) for word in range(begin, end) if word in row_of
        )
        assert total == best_by_trying(found, NAMES, begin, end)


@given(scores())
def test_greedy_tags_are_each_words_most_probable(found: WordScores) -> None:
    classes = TagClasses(NAMES)
    rows = word_tags(found, classes, decode(found, classes, "greedy"))
    flat = [tag for row in rows for tag in row.tags]
    sure = [each for row in rows for each in row.confidences]
    followers = set(found.followers.tolist())
    for row, word in enumerate(found.read.tolist()):
        assert flat[word] == NAMES[int(found.logits[row].argmax())]
        powers = np.exp(found.logits[row].astype(float))
        assert sure[word] == pytest.approx(powers.max() / powers.sum())
    for word in set(range(found.words)) - set(found.read.tolist()):
        if word in followers:
            assert flat[word] == flat[word - 1].replace("B-", "I-")
            assert sure[word] == sure[word - 1]
        else:
            assert (flat[word], sure[word]) == ("O", 1.0)


@given(scores(), st.sampled_from(["greedy", "legal"]), st.sampled_from([0.05, 1.7, 20.0]))
def test_entities_are_those_of_the_tags(found: WordScores, decoding: str, temperature: float) -> None:
    scaling = Scaling(temperature)
    classes = TagClasses(NAMES)
    codes = decode(found, classes, decoding)
    rows, entities = word_tags(found, classes, codes), entities_of(found, classes, codes)
    wanted = [(n, *span) for n, row in enumerate(rows) for span in spans_from_bio(row.tags)]
    assert [each[:4] for each in entities.spans()] == wanted
    for number, first, last, _, confidence in entities.spans():
        assert 0 < confidence <= 1
        assert confidence == pytest.approx(np.mean(rows[number].confidences[first:last]))
    tempered = word_tags(found, classes, codes, scaling)
    means = [np.mean(tempered[number].confidences[first:last]) for number, first, last, *_ in entities.spans()]
    assert entities.confidences(scaling) == pytest.approx(means, abs=1e-9)
    assert entities.word_spans(len(rows)) == [spans_from_bio(row.tags) for row in rows]


@pytest.mark.parametrize(
    ("names", "logits", "wanted"),
    [
        (["I-a", "O", "B-a"], [[9, 0, 1], [9, 0, 0]], ["B-a", "I-a"]),
        (["O", "I-a"], [[0, 9], [0, 9]], ["O", "O"]),
        (["O", "B-a", "B-b", "I-b"], [[0, 1, 0, 5], [0, 0, 0, 4]], ["B-b", "I-b"]),
        (["O", "B-a"], [[0, 9], [0, 9]], ["B-a", "B-a"]),
    ],
)
def test_heads_of_any_order_and_without_some_tags(
    names: list[str], logits: list[list[float]], wanted: list[str]
) -> None:
    classes = TagClasses(names)
    rows: Array = np.array(logits, np.float32)
    found = WordScores(np.array([0, len(rows)]), np.arange(len(rows)), rows, np.empty(0, np.int64))
    assert word_tags(found, classes, decode(found, classes, "legal"))[0].tags == wanted


class Fixed(torch.nn.Module):
    """Says B-org everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        assert input_ids.shape == attention_mask.shape
        logits = torch.tensor([0.0, 5.0, 0.0]).expand(*input_ids.shape, 3)
        return type("Output", (), {"logits": logits})


def tags_of(tokenizer: Any, config: Any, *examples: Example) -> Any:
    return predict(TorchScorer(Fixed(), "fp32"), SubwordTokenizer(tokenizer, config(), 64), list(examples), NAMES[:3])


def test_words_of_one_piece_are_one_entity(tokenizers: dict[str, Any], config: Any) -> None:
    (found,) = tags_of(tokenizers["chinese"], config, Example("在北京在", split_words("在北京在")))
    assert found.tags == ["B-org", "B-org", "I-org", "B-org"]


def test_a_word_without_a_piece_is_outside_and_sure(tokenizers: dict[str, Any], config: Any) -> None:
    example = example_of(["Paris", "\u200d", "Rome"], ["O"] * 3)
    found, empty = tags_of(tokenizers["wordpiece"], config, example, Example("", ()))
    assert found.tags == ["B-org", "O", "B-org"]
    assert found.confidences[1] == 1.0
    assert 0.9 < found.confidences[0] < 1
    assert empty.tags == []
    assert tags_of(tokenizers["wordpiece"], config) == []


@pytest.fixture(scope="module")
def head(tiny_tagger: Path) -> LinearHead:
    loaded = Tagger.load(tiny_tagger, device="cpu", precision="fp32").head
    assert isinstance(loaded, LinearHead)
    return loaded


@pytest.fixture(scope="module")
def examples(sample: Path) -> list[Example]:
    """Annotated sentences, one of them without a word, one of characters that share a piece."""
    han = Example("東京海上", ((0, 1), (1, 2), (2, 3), (3, 4)))
    return [*read_examples(sample / "domain" / "dev.conll"), Example("", ()), han]


def test_right_is_what_the_score_counts(head: LinearHead, examples: list[Example]) -> None:
    found = predict_entities(head, examples)
    spans: list[list[tuple[int, int, str]]] = [[] for _ in examples]
    right = list[bool]()
    for number, first, last, type_, _ in found.entities.spans():
        spans[number].append((first, last, type_))
        right.append((first, last, type_) in word_spans(examples[number]))
    assert found.right.tolist() == right
    assert any(right)
    assert found.score == score_spans(map(word_spans, examples), spans)
    assert found.examples == len(examples)


def test_many_examples_are_looked_at_in_parts(
    head: LinearHead, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict_entities(head, examples)
    monkeypatch.setattr("nerbert.model.linear._CHUNK", 7)
    parts = predict_entities(head, examples)
    assert [each[:4] for each in parts.entities.spans()] == [each[:4] for each in whole.entities.spans()]
    assert parts.entities.confidences(Scaling(1.3)) == pytest.approx(whole.entities.confidences(Scaling(1.3)), abs=1e-5)


def test_a_head_keeps_what_it_has_computed_of_its_tags(head: LinearHead) -> None:
    """A server asks for decoding and types with each request."""
    assert head.decode_by(head.decoding).classes is head.classes
    assert head.decode_by("greedy").decoding == "greedy"
    assert head.types == ["", *head.classes.types][2:]
