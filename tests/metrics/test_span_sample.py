"""The draw of found spans and the estimates from it, against what is known of simulated spans."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.metrics.span_sample import WeightedShare, draw_spans, lowest_reaching, weighted_share
from nerbert.rng import Array
from tests.raised import raises

DRAWS = 500


def spans(seed: int = 0) -> tuple[list[str], Array, Array]:
    """Labels of 1,500, 400 and 60 spans, their confidences, and whether they are right, less often than they say."""
    random = np.random.RandomState(seed)
    labels = ["often"] * 1500 + ["seldom"] * 400 + ["rare"] * 60
    confidences = random.beta(4, 1.5, len(labels))
    return labels, confidences, random.uniform(size=len(labels)) < confidences**2


def test_the_chances_are_as_they_are_said_to_be() -> None:
    labels, confidences, _ = spans()
    drawn = np.zeros(len(labels))
    weights = np.zeros(len(labels))
    for seed in range(DRAWS):
        places, chances = draw_spans(labels, confidences, confidences > 0.5, 100, seed)
        assert len(set(places.tolist())) == 100
        drawn[places] += 1
        weights[places] = chances
    groups = [np.array(labels) == name for name in ("often", "seldom", "rare")]
    seen = weights > 0
    for group in (*groups, confidences < 0.3, confidences > 0.9):
        expected, got = weights[group & seen].sum(), drawn[group].sum() / DRAWS
        assert got == pytest.approx(expected, rel=0.1)
    shares = [drawn[group].sum() / drawn.sum() for group in groups]
    assert shares == pytest.approx([0.58, 0.3, 0.12], abs=0.02), "by the square root of their numbers"


@pytest.mark.parametrize(("count", "least"), [(100, 0.0), (100, 0.8), (25, 0.7)])
def test_the_estimate_is_right_on_average_and_its_interval_holds_the_truth(count: int, least: float) -> None:
    labels, confidences, right = spans()
    kept = confidences >= least
    truth, found, held = right[kept].mean(), [], 0
    for seed in range(DRAWS):
        places, chances = draw_spans(labels, confidences, kept, count, seed)
        some = kept[places]
        share = weighted_share(right[places][some], 1 / chances[some])
        assert share is not None
        found.append(share.share)
        held += share.low <= truth <= share.high
    assert np.mean(found) == pytest.approx(truth, abs=0.01)
    assert held / DRAWS >= 0.9
    assert np.mean(np.array(right)[draw_spans(labels, confidences, kept, count, 1).places]) != pytest.approx(truth)


def test_few_answers_have_a_wide_interval_even_if_all_are_right() -> None:
    for count, low in ((1, 0.3), (5, 0.6), (20, 0.85)):
        share = weighted_share(np.ones(count, bool), np.ones(count))
        assert share is not None
        assert (share.share, share.judged) == (1.0, count)
        assert share.low < low
        assert share.high == 1.0
    one_heavy = weighted_share(np.ones(20, bool), np.array([1000.0] + [1.0] * 19))
    assert one_heavy is not None
    assert one_heavy.low < 0.3, "one answer counts for nearly all"
    none_right = weighted_share(np.zeros(5, bool), np.ones(5))
    assert none_right is not None
    assert none_right.low == pytest.approx(0.0)
    assert none_right.high > 0.3
    assert weighted_share(np.zeros(0, bool), np.zeros(0)) is None


def test_the_interval_of_equal_weights_is_wilsons() -> None:
    share = weighted_share(np.array([True] * 16 + [False] * 4), np.full(20, 3.0))
    bounds_are_wilsons(share, 19)


def bounds_are_wilsons(found: WeightedShare | None, count: float) -> None:
    """They are the shares p that differ from the one found by 1.96 standard deviations of p, of so many answers."""
    assert found is not None
    assert found.low < found.share < found.high
    for bound in (found.low, found.high):
        assert (bound - found.share) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / count)


def test_unequal_weights_are_fewer_answers() -> None:
    found = weighted_share(np.array([True, False, True]), np.array([1.0, 2.0, 1.0]))
    assert found is not None
    assert (found.share, found.judged) == (0.5, 3)
    variance = (0.5**2 + 1**2 + 0.5**2) / 4**2 * 3 / 2
    bounds_are_wilsons(found, 0.25 / variance)
    two = weighted_share(np.array([True, False]), np.array([1.0, 3.0]))
    bounds_are_wilsons(two, 0.25 * 0.75 / ((0.75**2 + 0.75**2) / 4**2 * 2))


def test_all_are_drawn_where_there_are_no_more() -> None:
    places, chances = draw_spans(["x", "y", "x"], np.array([0.1, 0.9, 0.9]), np.array([True] * 3), 100, 0)
    assert sorted(places.tolist()) == [0, 1, 2]
    assert chances.tolist() == [1.0] * 3
    assert draw_spans([], np.zeros(0), np.zeros(0, bool), 100, 0).places.size == 0


def test_a_seed_draws_the_same_spans_in_the_same_order_for_ever() -> None:
    labels, confidences = ["x"] * 6 + ["y"] * 3, np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.2, 0.9, 0.9, 0.4])
    drawn = [draw_spans(labels, confidences, confidences > 0.3, 4, seed).places.tolist() for seed in range(3)]
    assert drawn == [[3, 8, 7, 0], [4, 2, 8, 6], [1, 8, 3, 5]]


def test_a_span_that_is_wanted_more_than_once_is_sure_to_be_drawn() -> None:
    """By √(c(1 − c)), at least 0.2, the first of these has 5/9 of two draws."""
    confidences, others = np.array([0.5, 0.99, 0.99]), set[int]()
    for seed in range(20):
        places, chances = draw_spans(["x"] * 3, confidences, confidences > 0, 2, seed)
        assert dict(zip(places.tolist(), chances.tolist(), strict=True)).items() >= {0: 1.0}.items()
        assert sorted(chances.tolist()) == pytest.approx([0.5, 1.0])
        others |= {*places.tolist()} - {0}
    assert others == {1, 2}


def test_a_crowd_below_the_thresholds_gets_a_third_at_most() -> None:
    confidences = np.array([0.1] * 900 + [0.9] * 100)
    places, _ = draw_spans(["x"] * 1000, confidences, confidences > 0.5, 60, 0)
    assert np.count_nonzero(confidences[places] < 0.5) in (20, 21)


def test_what_can_not_be_drawn_is_refused() -> None:
    with raises(InputError, words="0 spans: give one for each"):
        draw_spans(["x"], np.ones(1), np.ones(1, bool), 0, 0)
    with raises(InputError, words="2 labels, 1 confidences"):
        draw_spans(["x", "y"], np.ones(1), np.ones(1, bool), 1, 0)


ANSWERS = st.lists(
    st.tuples(st.integers(1, 6), st.booleans(), st.sampled_from([1.0, 3.0, 8.0])), min_size=1, max_size=30
)


@given(ANSWERS, st.sampled_from([0.5, 0.7, 0.9]))
@example([(6, True, 1.0)] * 4 + [(4, True, 1.0)] * 2 + [(1, False, 1.0)] * 6, 0.7)
def test_the_threshold_is_the_lowest_that_reaches_the_precision_with_one_more_wrong(
    answers: list[tuple[int, bool, float]], precision: float
) -> None:
    """Of so many answers as weigh as much, if all weighed the same (Kish 1965)."""
    sure, right, weights = (np.array(each) for each in zip(*answers, strict=True))
    sure, reach = sure / 6, list[float]()
    bounds = sorted(set(sure.tolist()))
    for bound in bounds:
        some = weights[sure >= bound]
        count = some.sum() ** 2 / (some**2).sum()
        if (some * right[sure >= bound]).sum() / some.sum() * count / (count + 1) >= precision - 1e-9:
            reach.append(bound)
    expected = None if not reach else 0.0 if reach[0] == bounds[0] else reach[0]
    assert lowest_reaching(sure, right, weights, precision, 0.0) == expected
