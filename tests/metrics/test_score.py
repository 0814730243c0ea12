import math
import warnings
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from nerbert.errors import InputError
from nerbert.labels import WordSpan, spans_from_bio
from nerbert.metrics.score import (
    RULES,
    STRICT_RULES,
    Counts,
    Macro,
    collapse_types,
    pair_of,
    score_boundaries,
    score_spans,
    score_tags,
)
from tests.metrics.taggings import PAIRS, Pairs, Tagging, split

SCHEMES: dict[bool, dict[str, Any]] = {False: {}, True: {"mode": "strict", "scheme": IOB2}}


@pytest.mark.parametrize("strict", [False, True])
@given(pairs=PAIRS)
def test_equal_to_seqeval_on_any_tags(strict: bool, pairs: Pairs) -> None:
    gold, predicted = split(pairs)
    score = score_tags(gold, predicted, strict=strict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if score.by_type:
            _equal_to_seqeval(score.as_json(), gold, predicted, SCHEMES[strict])
        else:
            assert (score.right, score.predicted, score.gold, score.macro) == (0, 0, 0, (0, 0, 0, 0))


def _equal_to_seqeval(score: dict[str, Any], gold: Tagging, predicted: Tagging, scheme: dict[str, Any]) -> None:
    assert score["precision"] == pytest.approx(precision_score(gold, predicted, **scheme))
    assert score["recall"] == pytest.approx(recall_score(gold, predicted, **scheme))
    assert score["f1"] == pytest.approx(f1_score(gold, predicted, **scheme))
    report = classification_report(gold, predicted, output_dict=True, **scheme)
    rows = {**score["by_type"], "micro avg": score, "macro avg": score["macro"]}
    assert set(rows) | {"weighted avg"} == set(report)
    for name, row in rows.items():
        wanted = [report[name][key] for key in ("precision", "recall", "f1-score")]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(wanted)
        assert row.get("gold", score["gold"]) == report[name]["support"]


@given(PAIRS)
def test_tags_and_spans_score_the_same(pairs: Pairs) -> None:
    gold, predicted = split(pairs)
    assert score_tags(gold, predicted) == score_spans(map(spans_from_bio, gold), map(spans_from_bio, predicted))


@given(PAIRS)
def test_strict_drops_what_no_b_opened(pairs: Pairs) -> None:
    gold, predicted = split(pairs)

    def opened(tags: list[str]) -> Iterable[WordSpan]:
        return [span for span in spans_from_bio(tags) if tags[span[0]].startswith("B-")]

    wanted = score_spans(map(opened, gold), map(opened, predicted))
    score = score_tags(gold, predicted, strict=True)
    assert (score.right, score.predicted, score.gold) == (wanted.right, wanted.predicted, wanted.gold)
    assert score.by_type == wanted.by_type


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_sentences_does_not_matter(pairs: Pairs, random: Any) -> None:
    mixed = random.sample(pairs, len(pairs))
    assert score_tags(*split(mixed)) == score_tags(*split(pairs))


def test_figures_of_a_known_case() -> None:
    score = score_tags([["B-x", "I-x", "O", "B-y"]], [["B-x", "I-x", "B-y", "O"]])
    assert (score.right, score.predicted, score.gold) == (1, 2, 2)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)
    assert score.by_type == {"x": Counts(1, 1, 1), "y": Counts(0, 1, 1)}
    assert score.macro == Macro(0.5, 0.5, 0.5, 2)


def test_macro_takes_types_that_are_only_predicted() -> None:
    score = score_tags([["B-x", "O"]], [["B-x", "B-y"]])
    assert score.macro == Macro(0.5, 0.5, 0.5, 2)
    assert list(score.by_type) == ["x", "y"]


def test_rules_are_named() -> None:
    tags = [["I-x"]]
    loose, strict = score_tags(tags, tags), score_tags(tags, tags, strict=True)
    assert (loose.gold, loose.rules) == (1, RULES)
    assert (strict.gold, strict.rules) == (0, STRICT_RULES)
    assert "CoNLL script" in RULES
    assert "IOB2" in STRICT_RULES
    assert loose.as_json()["rules"] == RULES


def test_nothing_to_find_is_zero() -> None:
    nothing: list[Tagging] = [[["O"], []], [[]], []]
    for tags in nothing:
        score = score_tags(tags, tags)
        assert (score.precision, score.recall, score.f1) == (0.0, 0.0, 0.0)
        assert score.macro == Macro(0.0, 0.0, 0.0, 0)


def test_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="2 gold sentences, 1 predicted"):
        score_tags([["O"], ["O"]], [["O"]])
    with pytest.raises(InputError, match="sentence 1: 1 gold tags, 2 predicted"):
        score_tags([["O"], ["O"]], [["O"], ["O", "O"]])
    with pytest.raises(InputError, match=r"^gold and predicted have different numbers of sentences$"):
        score_spans([[]], [[], []])


def test_bad_tag_is_refused_with_its_place() -> None:
    with pytest.raises(InputError, match="gold, sentence 1, word 2: tag 'X-y': must be O"):
        score_tags([["O"], ["O", "B-x", "X-y"]], [["O"], ["O", "O", "O"]])
    with pytest.raises(InputError, match=r"predicted, sentence 0, word 0: tag 'S-y': .*BIOES"):
        score_tags([["O"]], [["S-y"]])


def test_collapsed_types_leave_boundaries() -> None:
    gold, predicted = [[(0, 1, "x"), (2, 3, "y")]], [[(0, 1, "y"), (2, 4, "y")]]
    assert score_spans(gold, predicted).right == 0
    assert score_spans(map(collapse_types, gold), map(collapse_types, predicted)).right == 1


@given(PAIRS)
def test_boundaries_are_entities_without_their_types(pairs: Pairs) -> None:
    gold, predicted = split(pairs)
    spans = (map(collapse_types, map(spans_from_bio, each)) for each in (gold, predicted))
    wanted = score_spans(*spans)
    assert score_boundaries(pair_of(gold, predicted)) == Counts(wanted.right, wanted.predicted, wanted.gold)
    assert score_boundaries(pair_of([["B-x", "B-y"]], [["B-z", "O"]])) == Counts(1, 1, 2)


def test_any_iterables_are_scored() -> None:
    tags = [["B-x", "O"], ["O"]]
    assert score_tags((iter(each) for each in tags), (tuple(each) for each in tags)).f1 == 1
    assert score_tags(iter(tags), tags) == score_tags(tags, tags)


@pytest.mark.parametrize("tag", [None, 3, ["B-x"], b"B-x"])
def test_what_is_no_tag_is_refused(tag: Any) -> None:
    with pytest.raises(InputError, match=r"gold, sentence 0, word 0: tag .*: must be O"):
        score_tags([[tag]], [["O"]])


def test_what_is_no_list_of_tags_is_refused() -> None:
    with pytest.raises(InputError, match="predicted: must be one list of tags per sentence"):
        score_tags([["O"]], [None])  # type: ignore[list-item]
    with pytest.raises(InputError, match="gold: must be one list of tags per sentence"):
        score_tags(3, [["O"]])  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_where_seqeval_says_something_else() -> None:
    """What the docstring of `score_tags` claims: dashes at a type's ends in strict mode, and macro of nothing."""
    for type_, cut in (("-x", "x"), ("x-", "x"), ("x-y", "x-y")):
        tags = [[f"B-{type_}", f"I-{type_}"]]
        strict = classification_report(tags, tags, output_dict=True, mode="strict", scheme=IOB2)
        assert cut in strict
        assert set(score_tags(tags, tags, strict=True).by_type) == {type_}
        assert type_ in classification_report(tags, tags, output_dict=True)
    assert math.isnan(classification_report([["O"]], [["O"]], output_dict=True)["macro avg"]["f1-score"])
    assert score_tags([["O"]], [["O"]]).macro == (0.0, 0.0, 0.0, 0)
