import math
from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.metrics.calibration import Threshold, calibrate, kept_counts, lowest_thresholds, reliability
from nerbert.metrics.judging import assess
from tests.raised import raises

PREDICTIONS = st.lists(st.tuples(st.integers(0, 100).map(lambda n: n / 100), st.booleans()), max_size=40)


@given(PREDICTIONS)
def test_as_the_definition_says(predictions: list[tuple[float, bool]]) -> None:
    error = 0.0
    for number in range(1, 11):
        low, high = (number - 1) / 10 if number > 1 else -1, number / 10
        inside = [each for each in predictions if low < each[0] <= high]
        if inside:
            gap = fmean(right for _, right in inside) - fmean(sure for sure, _ in inside)
            error += len(inside) / len(predictions) * abs(gap)
    found = calibrate([sure for sure, _ in predictions], [right for _, right in predictions])
    assert found.ece == pytest.approx(error)
    assert (found.bins, found.entities) == (10, len(predictions))


def test_an_entity_is_as_sure_as_its_words_on_average() -> None:
    gold = [["B-x", "I-x", "O", "B-y"], [], ["B-x"]]
    found = [["B-x", "I-x", "O", "B-x"], [], ["O"]]
    sure = [[0.9, 0.7, 0.3, 0.6], [], [0.1]]
    wanted = calibrate([0.8, 0.6], [True, False])
    calibration = assess(gold, found, confidences=sure).as_json()["calibration"]
    assert calibration == {"ece": pytest.approx(wanted.ece), "bins": 10, "entities": 2}
    assert assess(gold, found).as_json()["calibration"] is None
    none_found = assess([["B-x"]], [["O"]], confidences=[[0.3]]).as_json()
    assert none_found["calibration"] == {"ece": 0.0, "bins": 10, "entities": 0}


@pytest.mark.parametrize("sure", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused(sure: float) -> None:
    with raises(InputError, words=f"confidence {sure}: must lie between 0 and 1"):
        calibrate([0.0, 1.0, sure], [True, True, True])
    tags = [["O"], [], ["O", "O"]]
    with raises(InputError, words=f"sentence 2: confidence {sure}: must lie"):
        assess(tags, tags, confidences=[[1], [], [1, sure]])


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: assess([["O", "O"]], [["O", "O"]], confidences=[[1.0]]), "sentence 0: 2 gold tags, 1 confidences"),
        (lambda: assess([["O"]], [["O"]], confidences=[[1.0], [1.0]]), "1 gold sentences, 2 confidences"),
    ],
)
def test_messages(act: Callable[[], object], words: str) -> None:
    with raises(InputError, words=words):
        act()


def test_bins_hold_what_the_error_is_made_of() -> None:
    sure, right = [0.05, 0.1, 0.15, 0.95, 1.0], [False, True, False, True, True]
    bins = reliability(sure, right)
    assert [(each.low, each.high, each.entities) for each in bins] == [(0.0, 0.1, 2), (0.1, 0.2, 1), (0.9, 1.0, 2)]
    assert [each.precision for each in bins] == [0.5, 0.0, 1.0]
    gaps = sum(each.entities * abs(each.precision - each.confidence) for each in bins)
    assert gaps / len(sure) == pytest.approx(calibrate(sure, right).ece)
    assert reliability([], []) == []


def test_what_thresholds_keep() -> None:
    counts = kept_counts([0.2, 0.5, 0.9], [True, False, True], 4, [0.0, 0.5, 0.6, 1.0])
    assert [(each.right, each.predicted, each.gold) for each in counts] == [(2, 3, 4), (1, 2, 4), (1, 1, 4), (0, 0, 4)]
    assert kept_counts([], [], 0, [0.5])[0].precision == 0.0


ENTITIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 6).map(lambda n: n / 6), st.booleans()), max_size=30
)


def precision_at(entities: list[tuple[float, bool]], bound: float) -> float:
    kept = [right for sure, right in entities if sure >= bound]
    return sum(kept) / len(kept)


@given(ENTITIES, st.sampled_from([0.25, 0.5, 0.75, 0.9, 1.0]))
def test_it_is_the_lowest_that_reaches(entities: list[tuple[str, float, bool]], wanted: float) -> None:
    types = [type_ for type_, _, _ in entities]
    found = lowest_thresholds(types, [sure for _, sure, _ in entities], [right for _, _, right in entities], wanted)
    assert list(found) == sorted(set(types))
    for name, threshold in found.items():
        own = [(sure, right) for type_, sure, right in entities if type_ == name]
        reach = [bound for bound, _ in own if precision_at(own, bound) >= wanted]
        if not reach:
            assert threshold.confidence is None
            assert threshold.kept == len(own)
        elif min(reach) == min(bound for bound, _ in own):
            assert threshold.confidence == 0
        else:
            assert threshold.confidence == min(reach)
        kept = [right for sure, right in own if sure >= (threshold.confidence or 0.0)]
        assert (threshold.kept, threshold.kept_right) == (len(kept), sum(kept))
        assert (threshold.predicted, threshold.right) == (len(own), sum(right for _, right in own))


def test_shares_of_a_threshold() -> None:
    kept, none = Threshold(0.7, 4, 2, 3, 2), Threshold(None, 1, 0, 0, 0)
    assert (kept.precision, kept.recall_kept) == (2 / 3, 1.0)
    assert (none.precision, none.recall_kept) == (0.0, 0.0)


def test_a_precision_is_reached_by_equality() -> None:
    assert lowest_thresholds(["x"] * 10, [0.9] * 9 + [0.1], [1] * 9 + [0], 0.9)["x"].confidence == 0
