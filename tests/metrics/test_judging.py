"""All that is said of a tagger's answers: scores by part, intervals of them, and kinds of mistakes."""

import json
import random
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.labels import WordSpan, spans_from_bio
from nerbert.metrics.judging import (
    Figure,
    Interval,
    Mistake,
    MistakeKind,
    assess,
    bootstrap,
    bootstrap_difference,
    counts_by_sentence,
    find_mistakes,
    kinds_of,
    seen_entities,
    span_counts,
    without_types,
)
from nerbert.metrics.score import Counts, collapse_types, pair_of, score_pair, score_spans, score_tags, score_words
from tests.metrics.taggings import PAIRS, Pairs, split
from tests.raised import raises

GOLD = [["B-x", "I-x", "O", "B-y"], ["O", "B-x"], ["B-y"]]
FOUND = [["B-x", "I-x", "B-y", "O"], ["O", "B-x"], ["B-x"]]
WORDS = [["New", "York", "in", "May"], ["the", "sea"], ["May"]]


@given(PAIRS)
def test_every_part_is_that_of_its_own_function(pairs: Pairs) -> None:
    gold, found = split(pairs)
    judged = assess(gold, found).as_json()
    score, strict = score_tags(gold, found), score_tags(gold, found, strict=True)
    collapsed = [[collapse_types(spans_from_bio(tags)) for tags in each] for each in (gold, found)]
    assert judged["micro"] == Counts.as_json(score)
    assert (judged["macro"], judged["by_type"]) == (score.as_json()["macro"], score.as_json()["by_type"])
    assert judged["strict"] == {**Counts.as_json(strict), "macro_f1": strict.macro.f1, "rules": strict.rules}
    assert judged["span"] == Counts.as_json(score_spans(*collapsed))
    token = score_words(pair_of(gold, found))
    assert judged["token"] == {"macro_f1": token.macro.f1, "micro_f1": token.f1, "rules": token.rules}
    assert judged["errors"] == kinds_of(pair_of(gold, found))
    assert judged["interval"] == asdict(bootstrap(counts_by_sentence(pair_of(gold, found))))
    assert (judged["rules"], judged["sentences"]) == (score.rules, len(pairs))
    assert judged == json.loads(json.dumps(judged))


def test_the_keys_are_always_the_same() -> None:
    keys = set(assess([], []).as_json())
    assert keys == {
        "rules",
        "sentences",
        "micro",
        "macro",
        "by_type",
        "strict",
        "span",
        "token",
        "errors",
        "seen",
        "unseen",
        "interval",
        "calibration",
        "without",
    }
    full = assess(
        GOLD, FOUND, confidences=[[1.0] * len(each) for each in GOLD], words=WORDS, seen=set(), without=[1]
    ).as_json()
    assert set(full) == keys
    assert None not in full.values()
    none = {key for key, value in assess([], []).as_json().items() if value is None}
    assert none == {"seen", "unseen", "calibration", "without"}


def test_seen_is_text_and_type_in_training() -> None:
    train = [example_of(["New", "York", "May"], ["B-x", "I-x", "B-z"])]
    assert seen_entities(train) == {("New York", "x"), ("May", "z")}
    judged = assess(GOLD, FOUND, words=WORDS, seen=seen_entities(train))
    assert judged.seen == Counts(1, 1, 1)
    assert judged.unseen == Counts(1, 3, 3)
    assert assess(GOLD, FOUND, words=WORDS, seen={("May", "x")}).seen == Counts(0, 1, 0)
    assert assess(GOLD, FOUND, words=WORDS, seen={("new york", "x")}).seen == Counts(0, 0, 0)


@given(PAIRS, st.data())
def test_without_is_the_score_of_the_rest(pairs: Pairs, data: Any) -> None:
    out = data.draw(st.sets(st.integers(0, len(pairs) - 1), min_size=1))
    rest = score_tags(*split([each for place, each in enumerate(pairs) if place not in out]))
    judged = assess(*split(pairs), without=[*out, *out]).as_json()
    assert judged["without"] == {"left_out": len(out), **Counts.as_json(rest)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seen": set()}, "can't be found without words"),
        ({"seen": set(), "words": [WORDS[0], ["sea"], WORDS[2]]}, "sentence 1: 2 gold tags, 1 words"),
    ],
)
def test_messages(options: dict[str, Any], words: str) -> None:
    with raises(InputError, words=words):
        assess(GOLD, FOUND, **options)


def test_entities_of_some_types_are_left_out_on_both_sides() -> None:
    gold, found = [["B-x", "B-y", "B-z"], ["B-y", "O", "O"]], [["B-x", "B-x", "O"], ["B-y", "B-x", "B-y"]]
    assert without_types(gold, found, {"y"}) == Counts(1, 3, 2)
    assert without_types(gold, found, ()) == Counts(2, 5, 4)
    assert without_types(gold, found, {"x", "z"}) == Counts(1, 2, 2)


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


@pytest.mark.parametrize(("figure", "value"), [("precision", 0.5), ("recall", 0.25), ("f1", 1 / 3)])
def test_each_figure_has_its_own_interval(figure: Figure, value: float) -> None:
    found = bootstrap(np.array([(1, 2, 4)] * 5), figure)
    assert (found.low, found.high) == pytest.approx((value, value))


def test_differences_are_of_the_same_sentences() -> None:
    one, other = np.array([(1, 1, 1)] * 3), np.array([(0, 1, 1)] * 3)
    assert bootstrap_difference(one, other, samples=9, level=0.9) == Interval(1.0, 1.0, 0.9, 9)
    assert bootstrap_difference(other, one).high == -1
    with pytest.raises(ValueError, match="shorter"):
        span_counts([[], []], [[]])


SPANS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from("xyz")), max_size=7).map(
    lambda rows: [(start, start + length, type_) for start, length, type_ in rows]
)
"""Spans that may overlap each other, and occur twice."""


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([(0, 4, "x")], [(0, 1, "x"), (2, 4, "x")], ["boundary", "spurious"]),
        ([(0, 1, "x"), (2, 4, "x")], [(0, 4, "x")], ["boundary", "missed"]),
        ([(0, 4, "x")], [(0, 3, "y"), (3, 4, "x")], ["boundary", "spurious"]),
        ([(0, 4, "x"), (5, 6, "y")], [(3, 6, "y")], ["boundary", "missed"]),
    ],
)
def test_one_mistake_takes_one_partner(gold: list[WordSpan], predicted: list[WordSpan], kinds: list[str]) -> None:
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
