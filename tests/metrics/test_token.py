import pytest
from hypothesis import given

from nerbert.metrics.score import TOKEN_RULES, Counts, pair_of, score_words
from tests.metrics.taggings import PAIRS, Pairs, Tagging, split


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
    assert list(score.by_type) == types
    if not types:
        assert (score.f1, score.macro) == (0, (0, 0, 0, 0))
        return
    assert score.macro.f1 == pytest.approx(f1_score(*labels, average="macro", labels=types, zero_division=0))
    assert score.f1 == pytest.approx(f1_score(*labels, average="micro", labels=types, zero_division=0))
    rows = zip(*precision_recall_fscore_support(*labels, labels=types, zero_division=0), strict=True)
    for counts, row in zip(score.by_type.values(), rows, strict=True):
        assert (counts.precision, counts.recall, counts.f1, counts.gold) == pytest.approx(row)


def test_by_hand() -> None:
    gold = [["B-x", "I-x", "I-x", "O"], ["B-y", "B-x"]]
    found = [["O", "B-x", "I-x", "I-x"], ["B-y", "I-z"]]
    score = score_words(pair_of(gold, found))
    assert score.by_type == {"x": Counts(2, 3, 4), "y": Counts(1, 1, 1), "z": Counts(0, 1, 0)}
    assert score.macro.f1 == pytest.approx((4 / 7 + 1 + 0) / 3), "z is only predicted, and counts as 0"
    assert score.f1 == pytest.approx(2 * 3 / (5 + 5))
    assert score.rules == TOKEN_RULES
    pair = pair_of(gold, found)
    numbers = pair.word_types(pair.gold).tolist()
    assert [pair.types[each] for each in numbers] == ["x", "x", "x", "", "y", "x"]


def test_b_and_i_are_alike_and_sentences_are_apart() -> None:
    whole, cut = [["B-x", "I-x"], ["B-x"]], [["I-x", "B-x"], ["I-x"]]
    assert score_words(pair_of(whole, cut)).macro.f1 == 1
    assert score_words(pair_of([["O"], []], [["O"], []])).by_type == {}
    assert score_words(pair_of([], [])).macro == (0, 0, 0, 0)
