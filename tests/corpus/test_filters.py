import pytest

from nerbert.corpus.filters import common_and_untyped, excluded, fold_rare, most_common, ngrams, no_typed_entity
from nerbert.label_sets import frequent_categories
from nerbert.records import ENTITY, Reason


def test_filter_1_keeps_frequent_categories() -> None:
    kept = frequent_categories({"City": 10, "River": 9, ENTITY: 500}, 10)
    assert kept == {"City"}
    assert fold_rare(["City", "River", ENTITY], kept) == ["City", ENTITY, ENTITY]


@pytest.mark.parametrize(
    ("categories", "keep_untyped", "reason"),
    [
        ([], False, Reason.NO_ENTITY),
        ([], True, Reason.NO_ENTITY),
        ([ENTITY, ENTITY], False, Reason.ONLY_UNTYPED),
        ([ENTITY, ENTITY], True, None),
        ([ENTITY, "City"], False, None),
    ],
)
def test_filter_2(categories: list[str], keep_untyped: bool, reason: Reason | None) -> None:
    assert no_typed_entity(categories, keep_untyped=keep_untyped) is reason


def test_filter_3_ranks_with_entity_and_breaks_ties_by_name() -> None:
    assert most_common({"B": 5, "A": 5, ENTITY: 9, "C": 1}, 2) == {ENTITY, "A"}
    assert most_common({"B": 5, "A": 4, ENTITY: 1}, 2) == {ENTITY, "B"}, "ENTITY is one of them, however rare"


@pytest.mark.parametrize(
    ("untyped", "chance", "dropped"),
    [(2, 0.0, False), (3, 0.29, True), (3, 0.3, False), (4, 0.49, True), (4, 0.5, False), (5, 0.69, True),
     (9, 0.69, True), (9, 0.7, False)],
)  # fmt: skip
def test_filter_3_probabilities(untyped: int, chance: float, dropped: bool) -> None:
    categories = ["City"] + [ENTITY] * untyped
    reason = common_and_untyped(categories, {"City", ENTITY}, chance)
    assert (reason is Reason.COMMON_AND_UNTYPED) == dropped


def test_filter_3_spares_sentences_with_a_rarer_category() -> None:
    assert common_and_untyped(["Moss"] + [ENTITY] * 9, {"City", ENTITY}, 0.0) is None
    assert common_and_untyped([ENTITY] * 9, most_common({ENTITY: 9}, 0), 0.0) is None, "0 turns the filter off"


def test_exclusion_looks_at_runs_of_normalised_words() -> None:
    forbidden = ngrams("The quick, brown FOX jumps over the lazy dog", 8)
    assert len(forbidden) == 2
    assert excluded("We saw the quick brown fox — jumps over the lazy cat.", forbidden, 8) is Reason.EXCLUDED_TEXT
    assert excluded("We saw the quick brown fox jumps over a lazy cat.", forbidden, 8) is None
    assert excluded("short", frozenset(), 8) is None
