import random

import numpy as np
import pytest
from hypothesis import given

from nerbert.errors import InputError
from nerbert.metrics.judging import (
    Figure,
    Interval,
    bootstrap,
    bootstrap_difference,
    counts_by_sentence,
    span_counts,
)
from nerbert.metrics.score import pair_of, score_pair
from tests.metrics.taggings import PAIRS, Pairs, split
from tests.raised import raises

ROWS = [(1, 1, 1), (0, 1, 1), (1, 2, 2), (0, 0, 0), (2, 2, 3), (0, 2, 1)] * 20


@given(PAIRS)
def test_sentences_add_up_to_the_score(pairs: Pairs) -> None:
    pair = pair_of(*split(pairs))
    counts, score = counts_by_sentence(pair), score_pair(pair)
    assert counts.shape == (len(pairs), 3)
    assert counts.sum(axis=0).tolist() == [score.right, score.predicted, score.gold]


def test_same_as_drawing_sentences_one_by_one() -> None:
    found = bootstrap(np.array(ROWS), samples=4_000)
    draws, figures = random.Random(5), []
    for _ in range(4_000):
        right, predicted, gold = map(sum, zip(*draws.choices(ROWS, k=len(ROWS)), strict=True))
        figures.append(2 * right / (predicted + gold))
    assert [found.low, found.high] == pytest.approx(np.quantile(figures, [0.025, 0.975]).tolist(), abs=0.01)


def test_the_same_everywhere_and_for_any_order() -> None:
    counts = np.array(ROWS)
    assert bootstrap(counts) == bootstrap(counts[::-1])
    assert bootstrap(counts) != bootstrap(counts, seed=1)
    found = bootstrap(counts)
    assert (round(found.low, 6), round(found.high, 6)) == (0.425778, 0.567853)


def test_what_is_always_the_same_has_no_width() -> None:
    counts = span_counts([], [])
    assert (counts.shape, counts.dtype.kind) == ((0, 3), "i")
    assert bootstrap(counts, samples=7, level=0.9) == Interval(0.0, 0.0, 0.9, 7)
    assert bootstrap(np.array([(1, 2, 2)] * 5)) == Interval(0.5, 0.5, 0.95, 1_000)
    assert bootstrap(np.zeros((4, 3), int)) == Interval(0.0, 0.0, 0.95, 1_000)
    wide, narrow = bootstrap(np.array(ROWS)), bootstrap(np.array(ROWS * 20))
    assert narrow.high - narrow.low < wide.high - wide.low


@pytest.mark.parametrize(("samples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0), (10, float("nan"))])
def test_senseless_settings_are_refused(samples: int, level: float) -> None:
    with raises(InputError, words=f"samples {samples} must be at least 1, level {level} between"):
        bootstrap(np.array(ROWS), samples=samples, level=level)


@pytest.mark.parametrize(("figure", "value"), [("precision", 0.5), ("recall", 0.25), ("f1", 1 / 3)])
def test_each_figure_has_its_own_interval(figure: Figure, value: float) -> None:
    found = bootstrap(np.array([(1, 2, 4)] * 5), figure)
    assert (found.low, found.high) == pytest.approx((value, value))


def test_differences_are_of_the_same_sentences() -> None:
    one, other = np.array([(1, 1, 1)] * 3), np.array([(0, 1, 1)] * 3)
    assert bootstrap_difference(one, other, samples=9, level=0.9) == Interval(1.0, 1.0, 0.9, 9)
    assert bootstrap_difference(other, one).high == -1
    with raises(InputError, words="bootstrap: 3 and 2 sentences; score the same ones"):
        bootstrap_difference(one, other[:2])
    with pytest.raises(ValueError, match="shorter"):
        span_counts([[], []], [[]])
