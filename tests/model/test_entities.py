"""Entities that a user's head gives by log-odds."""

import math

import pytest

from nerbert.errors import InputError
from nerbert.model.heads import Entities


def test_any_order_does_and_certain_ones_have_confidence_one_at_any_temperature() -> None:
    found = Entities.of([[((2, 3, "x"), math.inf), ((0, 2, "y"), 0.0)], [], [((0, 1, "x"), -math.inf)]])
    assert found.word_spans(3) == [[(0, 2, "y"), (2, 3, "x")], [], [(0, 1, "x")]]
    for temperature in (0.05, 1.0, 20.0):
        assert found.confidences(temperature).tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_entities_that_overlap_are_refused() -> None:
    with pytest.raises(InputError, match=r"overlap: \(0, 2, 'y'\) and \(1, 3, 'x'\)"):
        Entities.of([[], [((1, 3, "x"), 1.0), ((0, 2, "y"), 0.0)]])
    assert Entities.of([[((0, 2, "y"), 0.0)], [((1, 3, "x"), 1.0)]]).examples.tolist() == [0, 1]


def test_none_at_all() -> None:
    for none in (Entities.of([]), Entities.of([[], []])):
        assert (list(none.spans()), none.word_spans(2)) == ([], [[], []])
