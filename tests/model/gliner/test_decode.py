"""Which candidates are entities, and which words are one."""

import numpy as np
import pytest

from nerbert.model.gliner.head import joined_words, span_candidates, word_candidates
from nerbert.model.heads import Candidate, Entities, chosen_candidates
from nerbert.records import Example
from nerbert.words import split_words


def sigmoid(odds: float) -> float:
    return float(1 / (1 + np.exp(-odds)))


def some(*spans: tuple[int, int, int, float]) -> list[Candidate]:
    return [Candidate(start, end, label, odds, sigmoid(odds)) for start, end, label, odds in spans]


def test_the_most_probable_ones_are_taken_and_ties_go_to_the_first() -> None:
    found = some((0, 2, 0, 1.0), (1, 3, 1, 2.0), (3, 4, 0, 1.0), (3, 4, 1, 1.0))
    kept = chosen_candidates(found, 4, nested=False)
    assert [each[:3] for each in kept] == [(1, 3, 1), (3, 4, 0)]


def test_nested_ones_hold_each_other_and_never_cut() -> None:
    found = some((0, 4, 0, 1.0), (1, 2, 1, 3.0), (1, 3, 0, 0.5), (2, 5, 1, 0.9), (1, 2, 0, 2.0), (4, 5, 0, 0.1))
    kept = chosen_candidates(found, 5, nested=True)
    assert [each[:3] for each in kept] == [(0, 4, 0), (1, 3, 0), (1, 2, 1), (4, 5, 0)]


def test_spans_are_above_their_labels_threshold() -> None:
    odds = np.array([[[0.0, 2.0], [-np.inf, 3.0]]], np.float32)
    found = span_candidates(odds, 1 / (1 + np.exp(-odds)), np.array([0.5, 0.9], np.float32))
    assert [each[:4] for each in found] == [(0, 2, 1, 3.0)]


def test_words_make_a_span_of_one_first_one_last_and_inner_ones_between() -> None:
    first, last, inner = [2.0, -9.0, 1.5, -9.0], [-9.0, 1.0, -9.0, 3.0], [2.0, 0.5, -1.0, 4.0]
    odds = np.stack([first, last, inner], 1)[:, None].astype(np.float32)
    low = word_candidates(odds, 1 / (1 + np.exp(-odds)), np.array([0.2], np.float32))
    assert [each[:4] for each in low] == [(0, 2, 0, 0.5), (0, 4, 0, -1.0), (2, 4, 0, -1.0)]
    high = word_candidates(odds, 1 / (1 + np.exp(-odds)), np.array([0.5], np.float32))
    assert [each[:4] for each in high] == [(0, 2, 0, 0.5)]
    assert high[0].probability == pytest.approx(sigmoid(0.5))


@pytest.mark.parametrize(
    ("text", "plain", "touching"),
    [
        ("New York", [(0, 2)], [(0, 2)]),
        ("New  \tYork", [(0, 2)], [(0, 1), (1, 2)]),
        ("New\nYork", [(0, 1), (1, 2)], [(0, 2)]),
        ("東.京", [(0, 1), (2, 3)], [(0, 3)]),
        ("New .. York", [(0, 1), (3, 4)], [(0, 1), (3, 4)]),
    ],
)
def test_neighbours_are_one_by_what_is_between_them(
    text: str, plain: list[tuple[int, int]], touching: list[tuple[int, int]]
) -> None:
    example = Example(text, split_words(text, "gliner-words-1"))
    words = [place for place, (a, _) in enumerate(example.words) if text[a].isalnum()]
    found = some(*((place, place + 1, 0, float(place)) for place in words))
    for wanted, touch in ((plain, False), (touching, True)):
        spans = joined_words(example, found, ["city"], touching=touch)
        assert [span[:2] for span, _ in spans] == wanted
    other = [found[0], *(each._replace(label=1) for each in found[1:])]
    assert len(joined_words(example, other, ["city", "town"], touching=True)) == 2


def test_confidence_is_the_mean_of_the_words() -> None:
    example = Example("New York", ((0, 3), (4, 8)))
    entities = Entities.of([joined_words(example, some((0, 1, 0, 0.0), (1, 2, 0, 2.0)), ["city"], touching=False)])
    assert entities.confidences().tolist() == pytest.approx([(0.5 + sigmoid(2.0)) / 2])
