"""Entities that a user's head gives by log-odds."""

import math

import pytest

from nerbert.errors import InputError
from nerbert.model.heads import Entities
from nerbert.records import Example
from tests.raised import raises


def test_any_order_does_and_certain_ones_have_confidence_one_at_any_temperature() -> None:
    found = Entities.of([[((2, 3, "x"), math.inf), ((0, 2, "y"), 0.0)], [], [((0, 1, "x"), -math.inf)]])
    assert found.word_spans(3) == [[(0, 2, "y"), (2, 3, "x")], [], [(0, 1, "x")]]
    for temperature in (0.05, 1.0, 20.0):
        assert found.confidences(temperature).tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_entities_that_overlap_are_refused() -> None:
    with raises(InputError, "overlap: (0, 2, 'y') and (1, 3, 'x')"):
        Entities.of([[], [((1, 3, "x"), 1.0), ((0, 2, "y"), 0.0)]])
    assert Entities.of([[((0, 2, "y"), 0.0)], [((1, 3, "x"), 1.0)]]).examples.tolist() == [0, 1]


def test_nested_entities_hold_each_other_and_the_outermost_has_the_tags() -> None:
    spans = [((1, 2, "x"), 0.0), ((0, 4, "y"), 2.0), ((1, 3, "x"), 1.0), ((4, 5, "x"), 0.0)]
    found = Entities.of([spans, []], nested=True)
    assert found.word_spans(2) == [[(0, 4, "y"), (1, 3, "x"), (1, 2, "x"), (4, 5, "x")], []]
    example = Example("a b c d e", ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)))
    tags, _ = found.word_tags([example, Example("", ())])
    assert tags.tags == ["B-y", "I-y", "I-y", "I-y", "B-x"]
    assert tags.confidences == pytest.approx([1 / (1 + math.exp(-2))] * 4 + [0.5])
    with raises(InputError, "overlap: (0, 4, 'y') and (1, 3, 'x')"):
        Entities.of([spans])
    for cut in ((3, 5, "x"), (0, 4, "x")):
        with raises(InputError, "overlap"):
            Entities.of([[*spans[:2], (cut, 0.0)]], nested=True)


def test_an_entity_of_several_parts_has_the_mean_of_their_probabilities() -> None:
    found = Entities.of([[((2, 3, "x"), 0.0), ((0, 2, "x"), (math.inf, 0.0))], [((0, 1, "y"), (0.0, -math.inf))]])
    assert found.confidences().tolist() == pytest.approx([0.75, 0.5, 0.25])
    joined = Entities.join([found, found], [2, 2])
    assert joined.confidences().tolist() == pytest.approx([0.75, 0.5, 0.25] * 2)
    assert joined.of_types(["y"]).confidences().tolist() == pytest.approx([0.25, 0.25])


def test_none_at_all() -> None:
    for none in (Entities.of([]), Entities.of([[], []])):
        assert (list(none.spans()), none.word_spans(2)) == ([], [[], []])
