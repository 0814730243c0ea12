from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.labels import WordSpan
from nerbert.metrics.judging import Mistake, MistakeKind, assess, find_mistakes
from tests.metrics.taggings import PAIRS, Pairs, split

SPANS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from("xyz")), max_size=7).map(
    lambda rows: [(start, start + length, type_) for start, length, type_ in rows]
)
"""Spans that may overlap each other, and occur twice."""


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([(0, 2, "x")], [(0, 2, "x")], []),
        ([(0, 2, "x")], [(0, 2, "y")], ["type"]),
        ([(0, 2, "x")], [(1, 3, "x")], ["boundary"]),
        ([(0, 2, "x")], [(1, 3, "y")], ["both"]),
        ([(0, 2, "x")], [(2, 3, "x")], ["missed", "spurious"]),
        ([(0, 4, "x")], [(0, 1, "x"), (2, 4, "x")], ["boundary", "spurious"]),
        ([(0, 1, "x"), (2, 4, "x")], [(0, 4, "x")], ["boundary", "missed"]),
        ([(0, 4, "x")], [(0, 3, "y"), (3, 4, "x")], ["boundary", "spurious"]),
        ([(0, 4, "x"), (5, 6, "y")], [(3, 6, "y")], ["boundary", "missed"]),
    ],
)
def test_known_cases(gold: list[WordSpan], predicted: list[WordSpan], kinds: list[str]) -> None:
    assert [mistake.kind.value for mistake in find_mistakes(gold, predicted)] == kinds


def test_the_larger_overlap_is_the_partner() -> None:
    gold, predicted = [(2, 8, "x")], [(0, 3, "x"), (4, 9, "x")]
    assert find_mistakes(gold, predicted)[0] == Mistake(MistakeKind.BOUNDARY, (2, 8, "x"), (4, 9, "x"))


@given(PAIRS)
def test_each_entity_is_counted_once(pairs: Pairs) -> None:
    gold, predicted = split(pairs)
    judged = assess(gold, predicted).as_json()
    kinds, score = judged["errors"], judged["micro"]
    paired = score["right"] + kinds["type"] + kinds["boundary"] + kinds["both"]
    assert paired + kinds["missed"] == score["gold"]
    assert paired + kinds["spurious"] == score["predicted"]
    assert sorted(kinds) == ["both", "boundary", "missed", "spurious", "type"]


@given(SPANS, SPANS, st.randoms(use_true_random=False))
def test_order_does_not_matter(gold: list[WordSpan], predicted: list[WordSpan], random: Any) -> None:
    mixed = random.sample(gold, len(gold)), random.sample(predicted, len(predicted))
    assert find_mistakes(*mixed) == find_mistakes(gold, predicted)


@given(SPANS, SPANS)
def test_every_mistake_is_what_it_says(gold: list[WordSpan], predicted: list[WordSpan]) -> None:
    mistakes = find_mistakes(gold, predicted)
    for kind, one, other in mistakes:
        if one is None or other is None:
            assert kind == (MistakeKind.MISSED if other is None else MistakeKind.SPURIOUS)
            continue
        assert max(one[0], other[0]) < min(one[1], other[1])
        same_ends, same_type = one[:2] == other[:2], one[2] == other[2]
        assert not (same_ends and same_type)
        assert kind == (MistakeKind.TYPE if same_ends else MistakeKind.BOUNDARY if same_type else MistakeKind.BOTH)
    assert sorted(each.gold for each in mistakes if each.gold) == sorted(set(gold) - set(predicted))
    assert sorted(each.predicted for each in mistakes if each.predicted) == sorted(set(predicted) - set(gold))


@given(SPANS, SPANS)
def test_nothing_that_could_be_paired_is_left(gold: list[WordSpan], predicted: list[WordSpan]) -> None:
    mistakes = find_mistakes(gold, predicted)
    missed = [each.gold for each in mistakes if each.kind == MistakeKind.MISSED and each.gold]
    spurious = [each.predicted for each in mistakes if each.kind == MistakeKind.SPURIOUS and each.predicted]
    assert not [(one, other) for one in missed for other in spurious if max(one[0], other[0]) < min(one[1], other[1])]
