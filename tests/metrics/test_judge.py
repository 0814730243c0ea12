import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.labels import spans_from_bio
from nerbert.metrics.judging import assess, bootstrap, counts_by_sentence, kinds_of, seen_entities, without_types
from nerbert.metrics.score import Counts, collapse_types, pair_of, score_spans, score_tags, score_words
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
        "rules", "sentences", "micro", "macro", "by_type", "strict", "span", "token", "errors", "seen", "unseen",
        "interval", "calibration", "without",
    }  # fmt: skip
    full = assess(
        GOLD, FOUND, confidences=[[1.0] * len(each) for each in GOLD], words=WORDS, seen=set(), without=[1]
    ).as_json()
    assert set(full) == keys
    assert None not in full.values()
    none = {key for key, value in assess([], []).as_json().items() if value is None}
    assert none == {"seen", "unseen", "calibration", "without"}


def test_interval_holds_the_figure() -> None:
    judged = assess(GOLD * 20, FOUND * 20).as_json()
    assert judged["interval"]["low"] < judged["micro"]["f1"] < judged["interval"]["high"]
    assert judged["interval"]["level"] == 0.95
    assert assess(GOLD * 20, FOUND * 20, seed=3).as_json()["interval"] != judged["interval"]


def test_seen_is_text_and_type_in_training() -> None:
    train = [example_of(["New", "York", "May"], ["B-x", "I-x", "B-z"])]
    assert seen_entities(train) == {("New York", "x"), ("May", "z")}
    judged = assess(GOLD, FOUND, words=WORDS, seen=seen_entities(train))
    assert judged.seen == Counts(1, 1, 1)
    assert judged.unseen == Counts(1, 3, 3)
    assert assess(GOLD, FOUND, words=WORDS, seen={("May", "x")}).seen == Counts(0, 1, 0)
    assert assess(GOLD, FOUND, words=WORDS, seen={("new york", "x")}).seen == Counts(0, 0, 0)


@given(PAIRS, st.sets(st.tuples(st.sampled_from(["w", "w v", "v"]), st.sampled_from("xy"))))
def test_seen_and_unseen_add_up(pairs: Pairs, seen: set[tuple[str, str]]) -> None:
    gold, found = split(pairs)
    words = [["wv"[place % 2] for place in range(len(each))] for each in gold]
    judged = assess(gold, found, words=words, seen=seen)
    assert judged.seen
    assert judged.unseen
    score = judged.score
    for key in ("right", "predicted", "gold"):
        assert getattr(judged.seen, key) + getattr(judged.unseen, key) == getattr(score, key)
    assert judged.seen.right <= min(judged.seen.predicted, judged.seen.gold)


@given(PAIRS, st.data())
def test_without_is_the_score_of_the_rest(pairs: Pairs, data: Any) -> None:
    out = data.draw(st.sets(st.integers(0, len(pairs) - 1), min_size=1))
    rest = score_tags(*split([each for place, each in enumerate(pairs) if place not in out]))
    judged = assess(*split(pairs), without=[*out, *out]).as_json()
    assert judged["without"] == {"left_out": len(out), **Counts.as_json(rest)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"without": (0, 3)}, "sentence 3 can't be left out: there are 3"),
        ({"without": (-1,)}, "sentence -1 can't be left out"),
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
