"""Parts of a score add up to it, and each has the interval of its own sentences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.metrics import judging
from nerbert.metrics.judging import LONGEST, ScoreDifference, by_length, by_type, confusions, differences, kinds_of
from nerbert.metrics.score import pair_of, score_pair, score_tags
from tests.metrics.taggings import PAIRS, Pairs, split


@given(PAIRS)
def test_parts_add_up(pairs: Pairs) -> None:
    pair = pair_of(*split(pairs))
    score = score_pair(pair)
    assert {each.name: each.counts for each in by_type(pair)} == score.by_type
    for parts in (by_type(pair), by_length(pair)):
        counts = [(each.counts.right, each.counts.predicted, each.counts.gold) for each in parts]
        assert [*map(sum, zip(*counts, strict=True))] in ([score.right, score.predicted, score.gold], [])
        assert all(0 <= each.interval.low <= each.interval.high <= 1 for each in parts)
    assert sum(each.entities for each in confusions(pair)) == kinds_of(pair)["type"]


def test_lengths_and_confusions() -> None:
    gold = [["B-a", "I-a", "O", "B-b"], ["B-a"] + ["I-a"] * 8, ["B-a"], ["B-a"], ["B-b"]]
    found = [["B-a", "I-a", "O", "B-a"], ["B-a"] + ["I-a"] * 7 + ["O"], ["B-b"], ["B-b"], ["O"]]
    pair = pair_of(gold, found)
    assert [(each.name, each.counts.right, each.counts.predicted, each.counts.gold) for each in by_length(pair)] == [
        ("1", 0, 3, 4),
        ("2", 1, 1, 1),
        (f"{LONGEST} or more", 0, 1, 1),
    ]
    assert confusions(pair) == [("a", "b", 2), ("b", "a", 1)]
    assert [each.name for each in by_type(pair)] == ["a", "b"]
    once = pair_of([["B-b", "B-a"]], [["B-a", "B-b"]])
    assert confusions(once) == [("a", "b", 1), ("b", "a", 1)], "of as many, by name"


def test_an_interval_is_that_of_the_type_alone() -> None:
    gold, found = [["B-a", "B-b"], ["B-a", "O"], ["B-b", "O"]] * 5, [["B-a", "O"], ["O", "O"], ["B-b", "B-b"]] * 5
    pair = pair_of(gold, found)
    for part in by_type(pair):
        alone = [[[tag if tag[2:] == part.name else "O" for tag in each] for each in side] for side in (gold, found)]
        rows = [*judging.counts_by_sentence(pair_of(*alone)).tolist(), [0, 1, 1]]
        assert part.interval == judging.bootstrap(np.array(rows)), "and of one more sentence, which is wrong"


@pytest.mark.parametrize(("entities", "sure"), [(1, False), (3, False), (4, False), (20, True)])
def test_a_few_entities_are_sure_of_nothing(entities: int, sure: bool) -> None:
    gold = [["B-a"]] * entities + [["O"]] * 500
    one, two = pair_of(gold, gold), pair_of(gold, [["O"]] * len(gold))
    part = by_type(one)[0]
    assert part.counts.f1 == 1
    assert part.interval.low < 0.95
    assert [each.sure for each in differences(one, two)] == [sure, sure]


def test_a_type_that_one_tagger_alone_finds_has_a_difference() -> None:
    one, none = pair_of([["O"]], [["B-a"]]), pair_of([["O"]], [["O"]])
    assert [each.name for each in differences(one, none)] == [each.name for each in differences(none, one)] == ["", "a"]


@pytest.mark.parametrize(
    ("low", "high", "sure"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (0.0, 0.2, False), (-0.2, 0.0, False), (-0.1, 0.1, False)],
)
def test_an_interval_with_zero_is_not_sure(low: float, high: float, sure: bool) -> None:
    assert ScoreDifference("", 1, 0.5, 0.5, judging.Interval(low, high, 0.95, 1)).sure == sure


@given(PAIRS, st.randoms(use_true_random=False))
def test_differences_are_those_of_two_scores(pairs: Pairs, random: "np.random.RandomState") -> None:
    gold, found = split(pairs)
    other = [["O" if random.random() < 0.5 else tag for tag in each] for each in found]
    one, two = pair_of(gold, found), pair_of(gold, other)
    overall, *parts = differences(one, two)
    assert (overall.name, overall.gain) == ("", overall.f1 - overall.other)
    assert (overall.f1, overall.other) == (score_pair(one).f1, score_pair(two).f1)
    rows = [judging.counts_by_sentence(each).tolist() for each in (one, two)]
    right, wrong = [1, 1, 1], [0, 1, 1]
    expected = judging.bootstrap_difference(np.array([*rows[0], right, wrong]), np.array([*rows[1], wrong, right]))
    assert overall.interval == expected
    assert {each.name: (each.f1, each.gold) for each in parts if each.name in score_pair(one).by_type} == {
        name: (counts.f1, counts.gold) for name, counts in score_pair(one).by_type.items()
    }
    assert {each.name for each in parts} == score_tags(gold, found).by_type.keys() | score_pair(two).by_type.keys()


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30), st.sampled_from([0, 1 << 40]))
def test_rows_are_counted_as_numpy_counts_them(rows: list[tuple[int, ...]], large: int) -> None:
    counts = np.array([*rows, (large, large, large)])
    for one, other in zip(judging._different(counts), np.unique(counts, axis=0, return_counts=True), strict=True):
        assert one.tolist() == other.tolist()
