import warnings
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.labels import WordSpan, spans_from_bio
from nerbert.metrics.score import (
    RULES,
    TOKEN_RULES,
    Counts,
    collapse_types,
    pair_of,
    score_boundaries,
    score_spans,
    score_tags,
    score_words,
)
from tests.metrics.taggings import PAIRS, TAGS, Pairs, Tagging, split
from tests.raised import raises


@pytest.mark.extras
@pytest.mark.parametrize("strict", [False, True])
@given(pairs=PAIRS)
def test_equal_to_seqeval_on_any_tags(strict: bool, pairs: Pairs) -> None:
    from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    scheme = {"mode": "strict", "scheme": IOB2} if strict else {}
    gold, predicted = split(pairs)
    score = score_tags(gold, predicted, strict=strict).as_json()
    if not score["by_type"]:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, figure in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            assert score[name] == pytest.approx(figure(gold, predicted, **scheme))
        report = classification_report(gold, predicted, output_dict=True, **scheme)
    rows = {**score["by_type"], "micro avg": score, "macro avg": score["macro"]}
    assert set(rows) | {"weighted avg"} == set(report)
    for name, row in rows.items():
        wanted = [report[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert [row["precision"], row["recall"], row["f1"], row.get("gold", score["gold"])] == pytest.approx(wanted)


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


def test_figures_of_a_known_case() -> None:
    """One type is right, one is missed, and one is only predicted."""
    gold = [["B-z", "I-z", "O", "B-y"], ["B-y", "B-z"], ["O"]]
    predicted = [["B-z", "I-z", "B-x", "O"], ["B-z", "B-z"], ["B-x"]]
    score = score_tags(gold, predicted)
    assert list(score.by_type) == ["x", "y", "z"]
    nothing = {"right": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert score.as_json() == {
        "right": 2,
        "predicted": 5,
        "gold": 4,
        "precision": 0.4,
        "recall": 0.5,
        "f1": 4 / 9,
        "macro": {"precision": 2 / 3 / 3, "recall": 1 / 3, "f1": 0.8 / 3, "types": 3},
        "by_type": {
            "x": nothing | {"predicted": 2, "gold": 0},
            "y": nothing | {"predicted": 0, "gold": 2},
            "z": {"right": 2, "predicted": 3, "gold": 2, "precision": 2 / 3, "recall": 1.0, "f1": 0.8},
        },
        "rules": RULES,
    }


@pytest.mark.parametrize("tags", [[["O"], []], [[]], []])
def test_nothing_to_find_is_zero(tags: list[list[str]]) -> None:
    score = score_tags(tags, tags)
    assert (score.precision, score.recall, score.f1) == (0.0, 0.0, 0.0)
    assert score.macro == (0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize("type_", ["-x", "x-", "x-y"])
def test_dashes_belong_to_a_type(type_: str) -> None:
    tags = [[f"B-{type_}", f"I-{type_}"]]
    score = score_tags(tags, tags, strict=True)
    assert (set(score.by_type), score.macro) == ({type_}, (1.0, 1.0, 1.0, 1))


@given(PAIRS)
def test_boundaries_are_entities_without_their_types(pairs: Pairs) -> None:
    gold, predicted = split(pairs)
    spans = (map(collapse_types, map(spans_from_bio, each)) for each in (gold, predicted))
    wanted = score_spans(*spans)
    assert score_boundaries(pair_of(gold, predicted)) == Counts(wanted.right, wanted.predicted, wanted.gold)


def test_any_iterables_are_scored() -> None:
    tags = [["B-x", "O"], ["O"]]
    assert score_tags((iter(each) for each in tags), (tuple(each) for each in tags)).f1 == 1
    assert score_tags(iter(tags), tags) == score_tags(tags, tags)


@pytest.mark.parametrize(
    ("gold", "predicted", "words"),
    [
        ([["O"], ["O"]], [["O"]], "2 gold sentences, 1 predicted"),
        ([["O"], ["O"]], [["O"], ["O", "O"]], "sentence 1: 1 gold tags, 2 predicted"),
        ([["O"], ["O", "B-x", "X-y"]], [["O"], ["O"] * 3], "gold, sentence 1, word 2: tag 'X-y': must be O"),
        ([["O"]], [["S-y"]], "predicted, sentence 0, word 0: tag 'S-y': "),
        *(([[tag]], [["O"]], "gold, sentence 0, word 0: tag ") for tag in (None, 3, ["B-x"], b"B-x")),
        ([["O"]], [None], "predicted: must be one list of tags per sentence"),
        (3, [["O"]], "gold: must be one list of tags per sentence"),
    ],
)
def test_messages(gold: Any, predicted: Any, words: str) -> None:
    with raises(InputError, words=words):
        score_tags(gold, predicted)


@given(st.lists(st.lists(TAGS, max_size=12), max_size=8))
def test_both_decoders_agree(tags: list[list[str]]) -> None:
    pair = pair_of(tags, tags)
    wanted = [(number, *span) for number, each in enumerate(tags) for span in spans_from_bio(each)]
    sentences = pair.sentence_of(pair.gold).tolist()
    spans = [
        (number, start - pair.offsets[number], end - pair.offsets[number], type_)
        for number, (start, end, type_) in zip(sentences, pair.spans(pair.gold), strict=True)
    ]
    assert spans == wanted
    assert pair.sentences == len(tags)


@given(PAIRS)
def test_over_is_to_share_a_word(pairs: Pairs) -> None:
    pair = pair_of(*split(pairs))
    gold, found = pair.spans(pair.gold), pair.spans(pair.predicted)
    shares = [any(one[0] < other[1] and other[0] < one[1] for other in gold) for one in found]
    assert pair.predicted.over(pair.gold).tolist() == shares


def _labels(tags: Tagging) -> list[str]:
    """Return the IO label of each word over all sentences."""
    return [tag if tag == "O" else tag[2:] for sentence in tags for tag in sentence]


@pytest.mark.extras
@given(PAIRS)
def test_equal_to_scikit_learn_on_any_tags(pairs: Pairs) -> None:
    from sklearn.metrics import f1_score, precision_recall_fscore_support

    gold, found = split(pairs)
    score = score_words(pair_of(gold, found))
    labels = _labels(gold), _labels(found)
    types = sorted({*labels[0], *labels[1]} - {"O"})
    assert (list(score.by_type), score.rules) == (types, TOKEN_RULES)
    if not types:
        assert (score.f1, score.macro) == (0, (0, 0, 0, 0))
        return
    assert score.macro.f1 == pytest.approx(f1_score(*labels, average="macro", labels=types, zero_division=0))
    assert score.f1 == pytest.approx(f1_score(*labels, average="micro", labels=types, zero_division=0))
    rows = zip(*precision_recall_fscore_support(*labels, labels=types, zero_division=0), strict=True)
    for counts, row in zip(score.by_type.values(), rows, strict=True):
        assert (counts.precision, counts.recall, counts.f1, counts.gold) == pytest.approx(row)
