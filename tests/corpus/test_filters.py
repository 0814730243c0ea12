from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from nerbert.corpus import filters
from nerbert.corpus.filters import (
    CommonCategories,
    ExcludedTexts,
    OnlyUntyped,
    RareCategories,
    most_common,
)
from nerbert.corpus.mentions import MADE_ENTITY, categories_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED
from nerbert.formats.exclude import ngrams
from nerbert.label_sets import frequent_categories
from nerbert.records import ENTITY, Reason

SETTINGS = CorpusSettings()


def sentences(*categories: Sequence[str]) -> pa.RecordBatch:
    """Sentences whose mentions have these categories."""
    mention = {"start": 0, "end": 1, "target": "a", "resolved_target": "a", "class_path": [], "source": ""}
    rows = [
        {"id": f"w:{number}", "text": "a", "split": "train",
         "mentions": [mention | {"category": category} for category in each]}
        for number, each in enumerate(categories)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=TYPED)


def test_filter_1_keeps_frequent_categories() -> None:
    kept = frequent_categories({"City": 10, "River": 9, ENTITY: 500}, 10)
    assert kept == {"City"}
    rows = sentences(["City", "River", ENTITY], [], ["River", "River"])
    rows, reasons = RareCategories(SETTINGS, Counter(), kept).apply(rows.slice(0))
    assert categories_of(rows["mentions"]) == [["City", ENTITY, ENTITY], [], [ENTITY, ENTITY]]
    assert rows[MADE_ENTITY.name].to_pylist() == [1, 0, 2]
    assert not any(reasons)


def test_filter_1_drops_rare_categories_if_told() -> None:
    step = RareCategories(replace(SETTINGS, rare_category="drop"), Counter(), frozenset({"City"}))
    _, reasons = step.apply(sentences(["City", "Moss"], ["City", ENTITY], []))
    assert reasons == [Reason.RARE_CATEGORY, None, None]


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
    _, reasons = OnlyUntyped(keep_untyped).apply(sentences(["City"], categories, ["City"]))
    assert reasons == [None, reason, None]


def test_filter_3_ranks_with_entity_and_breaks_ties_by_name() -> None:
    assert most_common({"B": 5, "A": 5, ENTITY: 9, "C": 1}, 2) == {ENTITY, "A"}
    assert most_common({"B": 5, "A": 4, ENTITY: 1}, 2) == {ENTITY, "B"}, "ENTITY is one of them, however rare"


def filter_3(common: frozenset[str], *categories: Sequence[str]) -> list[bool]:
    """Whether filter 3 drops each sentence."""
    _, reasons = CommonCategories(SETTINGS, True, common).apply(sentences(*categories))
    assert set(reasons) <= {None, Reason.COMMON_AND_UNTYPED}
    return [reason is not None for reason in reasons or [None] * len(categories)]


@pytest.mark.parametrize(
    ("untyped", "chance", "dropped"),
    [(2, 0.0, False), (3, 0.29, True), (3, 0.3, False), (4, 0.49, True), (4, 0.5, False), (5, 0.69, True),
     (9, 0.69, True), (9, 0.7, False)],
)  # fmt: skip
def test_filter_3_probabilities(untyped: int, chance: float, dropped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "uniform", lambda *_: chance)
    assert filter_3(frozenset({"City", ENTITY}), ["City"] + [ENTITY] * untyped, ["City"]) == [dropped, False]


def test_filter_3_spares_sentences_with_a_rarer_category(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "uniform", lambda *_: 0.0)
    assert filter_3(frozenset({"City", ENTITY}), ["Moss"] + [ENTITY] * 9, [ENTITY] * 9) == [False, True]
    assert filter_3(most_common({ENTITY: 9}, 0), [ENTITY] * 9) == [False], "0 turns the filter off"


def test_exclusion_looks_at_runs_of_normalised_words() -> None:
    forbidden = ngrams("The quick, brown FOX jumps over the lazy dog", 8)
    assert len(forbidden) == 2
    texts = (
        "We saw the quick brown fox — jumps over the lazy cat.",
        "We saw the quick brown fox jumps over a lazy cat.",
    )
    rows = pa.RecordBatch.from_pydict({"text": [*texts, "short"]})
    assert ExcludedTexts(frozenset(forbidden), 8).apply(rows)[1] == [Reason.EXCLUDED_TEXT, None, None]
    assert not any(ExcludedTexts(frozenset(), 8).apply(rows)[1])
