"""The lowest bound that reaches a precision, against trying every one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError, SettingsError
from nerbert.metrics.calibration import Threshold, lowest_thresholds
from tests.raised import raises

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


def test_known_cases() -> None:
    found = lowest_thresholds(
        ["x", "x", "x", "x", "y", "z", "z"], [0.9, 0.8, 0.7, 0.2, 0.9, 0.6, 0.6], [1, 0, 1, 0, 0, 1, 0], 0.66
    )
    assert found == {
        "x": Threshold(0.7, 4, 2, 3, 2),
        "y": Threshold(None, 1, 0, 1, 0),
        "z": Threshold(None, 2, 1, 2, 1),  # equal confidences can't be told apart
    }
    assert (found["x"].precision, found["x"].recall_kept) == (2 / 3, 1.0)
    assert (found["y"].precision, found["y"].recall_kept) == (0.0, 0.0)
    assert lowest_thresholds([], [], [], 0.5) == {}
    assert Threshold(None, 0, 0, 0, 0).precision == 0


def test_a_precision_is_reached_by_equality() -> None:
    assert lowest_thresholds(["x"] * 10, [0.9] * 9 + [0.1], [1] * 9 + [0], 0.9)["x"].confidence == 0


@pytest.mark.parametrize("wanted", [0, -0.1, 1.01, math.nan, math.inf])
def test_what_is_no_precision(wanted: float) -> None:
    with raises(SettingsError, words=f"precision = {wanted}: must be above 0 and at most 1"):
        lowest_thresholds(["x"], [0.5], [True], wanted)


def test_each_entity_needs_all_three() -> None:
    with raises(InputError, words="1 types, 2 confidences, 1 outcomes"):
        lowest_thresholds(["x"], [0.5, 0.6], [True], 0.5)
