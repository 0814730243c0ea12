import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.metrics import Counts, collapse_types, score_spans, score_tags

TAGS = st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y", "B-a-b", "I-a-b"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=12), min_size=1, max_size=6)


@given(PAIRS)
def test_equal_to_seqeval_on_any_tags(pairs: list[list[tuple[str, str]]]) -> None:
    from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

    gold = [[one for one, _ in sentence] for sentence in pairs]
    predicted = [[other for _, other in sentence] for sentence in pairs]
    score = score_tags(gold, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert score.precision == pytest.approx(precision_score(gold, predicted))
        assert score.recall == pytest.approx(recall_score(gold, predicted))
        assert score.f1 == pytest.approx(f1_score(gold, predicted))
        if score.gold or score.predicted:
            report = classification_report(gold, predicted, output_dict=True)
            for type_, counts in score.by_type.items():
                assert counts.f1 == pytest.approx(report[type_]["f1-score"])
                assert counts.gold == report[type_]["support"]


def test_figures_of_a_known_case() -> None:
    score = score_tags([["B-x", "I-x", "O", "B-y"]], [["B-x", "I-x", "B-y", "O"]])
    assert (score.right, score.predicted, score.gold) == (1, 2, 2)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)
    assert score.by_type["y"] == Counts(0, 1, 1)
    assert "CoNLL" in score.rules


def test_nothing_to_find_is_zero() -> None:
    score = score_tags([["O"], []], [["O"], []])
    assert (score.precision, score.recall, score.f1) == (0.0, 0.0, 0.0)


def test_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="2 gold sentences, 1 predicted"):
        score_tags([["O"], ["O"]], [["O"]])
    with pytest.raises(InputError, match="sentence 1: 1 gold tags, 2 predicted"):
        score_tags([["O"], ["O"]], [["O"], ["O", "O"]])
    with pytest.raises(InputError, match="different numbers of sentences"):
        score_spans([[]], [[], []])


def test_bad_tag_is_refused() -> None:
    with pytest.raises(InputError, match="tag 'X-y'"):
        score_tags([["X-y"]], [["O"]])


def test_collapsed_types_leave_boundaries() -> None:
    gold, predicted = [[(0, 1, "x"), (2, 3, "y")]], [[(0, 1, "y"), (2, 4, "y")]]
    assert score_spans(gold, predicted).right == 0
    assert score_spans(map(collapse_types, gold), map(collapse_types, predicted)).right == 1


def test_any_iterables_are_scored() -> None:
    tags = [["B-x", "O"], ["O"]]
    assert score_tags((iter(each) for each in tags), (tuple(each) for each in tags)).f1 == 1
    assert score_tags(iter(tags), tags) == score_tags(tags, tags)


def test_what_is_no_tag_is_refused() -> None:
    with pytest.raises(InputError, match="tag None: must be O"):
        score_tags([[None]], [["O"]])  # type: ignore[list-item]
    with pytest.raises(InputError, match="predicted: must be one list of tags a sentence"):
        score_tags([["O"]], [None])  # type: ignore[list-item]
    with pytest.raises(InputError, match="gold: must be one list of tags a sentence"):
        score_tags(3, [["O"]])  # type: ignore[arg-type]
