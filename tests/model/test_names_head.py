"""The head of boundaries and names: spans by their tags against all paths, and labels of spans."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from nerbert.errors import SettingsError
from nerbert.labels import spans_from_bio
from nerbert.model.concept_head import NamesHead, likely_spans, mean_vectors
from nerbert.model.heads import Entities
from nerbert.model.linear import WordScores
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.words import split_words
from tests.raised import raises

TAGS = ["O", "B-x", "I-x"]


def paths(logits: Array) -> dict[tuple[int, int], float]:
    """The probability of each span, summed over all sequences of tags."""
    powers = np.exp(logits.astype(np.float64))
    sure, found = powers / powers.sum(1, keepdims=True), dict[tuple[int, int], float]()
    for tags in product(range(3), repeat=len(logits)):
        chance = float(np.prod([sure[word, tag] for word, tag in enumerate(tags)]))
        for start, end, _ in spans_from_bio([TAGS[tag] for tag in tags]):
            found[start, end] = found.get((start, end), 0.0) + chance
    return found


def test_a_span_is_as_likely_as_all_tags_that_make_it() -> None:
    logits = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32) * 2
    found = likely_spans(logits, np.array([False] + [True] * 5), -np.inf)
    wanted = {span: chance for span, chance in paths(logits).items() if chance >= 1e-3}
    spans = dict(zip(zip(found.starts.tolist(), found.ends.tolist(), strict=True), np.exp(found.logs), strict=True))
    assert spans == pytest.approx(wanted)
    assert len(wanted) > 5
    likely = likely_spans(logits, np.array([False] + [True] * 5), float(np.log(0.05)))
    assert sorted(np.exp(likely.logs)) == pytest.approx(sorted(each for each in wanted.values() if each >= 0.05))


def test_no_span_crosses_a_gap() -> None:
    logits = np.tile(np.array([0.0, 1.0, 3.0], np.float32), (5, 1))
    linked = np.array([False, True, False, True, True])
    found = likely_spans(logits, linked, -np.inf)
    assert not any(start < 2 < end for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True))
    for here in (slice(0, 2), slice(2, 5)):
        inside = (found.starts >= here.start) & (found.starts < here.stop)
        wanted = {span: each for span, each in paths(logits[here]).items() if each >= 1e-3}
        assert sorted(np.exp(found.logs[inside])) == pytest.approx(sorted(wanted.values()))


def test_a_spans_vector_is_the_mean_of_its_words() -> None:
    vectors = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    starts, ends = np.array([0, 2, 2, 6]), np.array([7, 3, 5, 7])
    found = mean_vectors(vectors, starts, ends)
    assert np.allclose(found, [vectors[start:end].mean(0) for start, end in zip(starts, ends, strict=True)], atol=1e-6)
    assert (found[1] == mean_vectors(vectors, starts[1:2], ends[1:2])[0]).all()
    assert mean_vectors(vectors, starts[:0], ends[:0]).shape == (0, 4)


def head_of(labels: Sequence[str], decoding: str = "flat", least: float = 0.1) -> NamesHead:
    """A head whose label number n has the n-th unit vector."""
    places = {name: place for place, name in enumerate(labels)}

    def vectors(some: Sequence[EntityLabel]) -> Any:
        return np.eye(len(labels), dtype=np.float32)[[places[each.name] for each in some]]

    head = NamesHead(None, None, vectors, len(labels), 1.0, 0.0, decoding=decoding)  # type: ignore[arg-type]
    return head.for_labels(list(map(EntityLabel, labels)), [least] * len(labels))  # type: ignore[return-value]


def entities(head: NamesHead, text: str, tags: str, types: Sequence[Sequence[float]]) -> Entities:
    """The entities of a text whose words have sure tags, and vectors."""
    words = split_words(text)
    logits = np.array([[8.0 * (tag == each) for each in "OBI"] for tag in tags], np.float32)
    scores = WordScores(
        np.array([0, len(words)]),
        np.arange(len(words)),
        np.concatenate([np.array(types, np.float32), logits], 1),
        np.zeros(0, np.int64),
    )
    assert head.asked is not None
    return head._entities([Example(text, words)], scores, head.asked)


def test_tags_cut_and_names_type() -> None:
    """Two touching entities of one type stay two, which words alone would make one."""
    far, near = [-6.0, -6.0], [6.0, -6.0]
    found = entities(head_of(["city", "ship"]), "Oslo Bergen saw New York", "BBOBI", [near, near, far, far, [18, -9.0]])
    assert found.word_spans(1) == [[(0, 1, "city"), (1, 2, "city"), (3, 5, "city")]]
    assert found.confidences()[0] == pytest.approx(1 / (1 + np.exp(-6)), abs=2e-3)


def test_the_confidence_is_that_of_span_and_label() -> None:
    head = head_of(["city"], least=0.01)
    logits = np.array([[1.0, 0.5, -1.0], [1.5, 0.1, 0.3]], np.float32)
    scores = WordScores(
        np.array([0, 2]),
        np.arange(2),
        np.concatenate([[[0.4], [-0.2]], logits], 1, dtype=np.float32),
        np.zeros(0, np.int64),
    )
    assert head.asked is not None
    found = head._entities([Example("New York", ((0, 3), (4, 8)))], scores, head.asked)
    chances, types = paths(logits), {(0, 1): 0.4, (1, 2): -0.2, (0, 2): 0.1}
    wanted = {span: chances[span] / (1 + np.exp(-each)) for span, each in types.items()}
    best = max(wanted, key=lambda span: wanted[span])
    assert found.word_spans(1)[0][0][:2] == best
    assert found.confidences()[0] == pytest.approx(wanted[best], rel=1e-5)


def test_what_lies_in_another_entity_is_found_where_wanted() -> None:
    """Of three words the first two are a bank, or all three; the last one is a city."""
    tags = np.array([[-9.0, 4, -9], [-9, -9, 4], [-9, 2, 2.0]], np.float32)
    types = np.array([[4, -9], [4, -9], [-9, 4]], np.float32)
    scores = WordScores(np.array([0, 3]), np.arange(3), np.concatenate([types, tags], 1), np.zeros(0, np.int64))
    example = Example("Bank of Oslo", ((0, 4), (5, 7), (8, 12)))
    flat = [(0, 2, "bank"), (2, 3, "city")]
    for decoding, wanted in (("flat", flat), ("nested", [(0, 3, "bank"), *flat])):
        head = head_of(["bank", "city"], decoding)
        assert head.asked is not None
        assert head._entities([example], scores, head.asked).word_spans(1) == [wanted]
    with raises(SettingsError, "'flat' or 'nested'"):
        head.decode_by("touching")


def test_a_word_that_shares_a_piece_belongs_to_the_entity() -> None:
    """Of five words the second is in the first one's piece, the fourth has none."""
    head = head_of(["x"])
    rows = np.array([[5, -9, 9, -9], [5, -9, -9, 9], [5, -9, 9, -9]], np.float32)
    scores = WordScores(np.array([0, 0, 5]), np.array([0, 2, 4]), rows, np.array([1]))
    words = ((0, 1), (1, 2), (3, 4), (5, 6), (7, 8))
    assert head.asked is not None
    found = head._entities([Example("", ()), Example("北京 a \u200b b", words)], scores, head.asked)
    assert found.word_spans(2) == [[], [(0, 3, "x"), (4, 5, "x")]]


@pytest.mark.parametrize(
    ("least", "low", "high"), [(0.0, 1, 2), (1e-320, 0, 2), (1e-16, 0, 2), (1 - 1e-16, 0, 2), (1.0, 0, 0)]
)
def test_no_threshold_overflows(least: float, low: int, high: int) -> None:
    """A temperature of 20 makes a threshold of 1e-300 of one of 1e-15."""
    assert low <= len(entities(head_of(["x"], least=least), "a b", "BO", [[9.0], [-9.0]]).types) <= high
