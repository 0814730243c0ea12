from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest

from nerbert.corpus import filters
from nerbert.corpus.balance import draw_copies
from nerbert.corpus.filters import (
    CommonCategories,
    EqualInTrain,
    ExcludedTexts,
    OnlyUntyped,
    RareCategories,
    Sampling,
    WithoutLink,
    most_common,
    sentence_key,
)
from nerbert.corpus.mentions import MADE_ENTITY, categories_of, sides_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, UNTYPED, write_table
from nerbert.corpus.steps import Upstream
from nerbert.data.exclude import ngrams
from nerbert.errors import NerbertError, SettingsError
from nerbert.executors import LocalExecutor
from nerbert.label_sets import frequent_categories
from nerbert.records import ENTITY, TRAIN, VALIDATION, Reason, sentence_id
from nerbert.rng import uniform
from tests.raised import raises

SETTINGS = CorpusSettings()


def sentences(*categories: Sequence[str], split: str = "train") -> pa.RecordBatch:
    """Sentences whose mentions have these categories."""
    mention = {"start": 0, "end": 1, "target": "a", "resolved_target": "a", "class_path": [], "source": ""}
    rows = [
        {
            "id": f"w:{number}",
            "text": "a",
            "split": split,
            "mentions": [mention | {"category": category} for category in each],
        }
        for number, each in enumerate(categories)
    ]
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
    [
        (2, 0.0, False),
        (3, 0.29, True),
        (3, 0.3, False),
        (4, 0.49, True),
        (4, 0.5, False),
        (5, 0.69, True),
        (9, 0.69, True),
        (9, 0.7, False),
    ],
)
def test_filter_3_probabilities(untyped: int, chance: float, dropped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "uniform", lambda *_: chance)
    assert filter_3(frozenset({"City", ENTITY}), ["City"] + [ENTITY] * untyped, ["City"]) == [dropped, False]


@pytest.mark.parametrize("seed", range(8))
def test_filter_3_draws_by_the_sentences_name(seed: int) -> None:
    step = CommonCategories(replace(SETTINGS, seed=seed), True, frozenset({ENTITY}))
    _, reasons = step.apply(sentences(*[[ENTITY] * 4] * 5))
    assert [reason is not None for reason in reasons] == [uniform(seed, "filter 3", f"w:{n}") < 0.5 for n in range(5)]


def test_filter_3_spares_sentences_with_a_rarer_category(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "uniform", lambda *_: 0.0)
    assert filter_3(frozenset({"City", ENTITY}), ["Moss"] + [ENTITY] * 9, [ENTITY] * 9) == [False, True]
    assert filter_3(most_common({ENTITY: 9}, 0), [ENTITY] * 9) == [False], "0 turns the filter off"


def test_steps_that_need_no_preparation() -> None:
    steps = (ExcludedTexts, WithoutLink, EqualInTrain, RareCategories, OnlyUntyped, CommonCategories)
    assert [step.name for step in steps] == ["exclude", "no link", "split", "filter 1", "filter 2", "filter 3"]
    rows = pa.RecordBatch.from_pydict({"links": [[], ["a"], ["a", "b"]]})
    assert WithoutLink().apply(rows) == (rows, [Reason.NO_ENTITY, None, None])


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


Reach = Callable[..., Upstream]
PreparedStep = EqualInTrain | RareCategories | OnlyUntyped | CommonCategories


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    """What reaches a step: parts of a corpus, after some steps."""

    def made(*parts: pa.RecordBatch, steps: Sequence[PreparedStep] = ()) -> Upstream:
        (tmp_path / "pages").mkdir()
        for number, rows in enumerate(parts):
            write_table(pa.Table.from_batches([rows]), tmp_path / "pages" / f"part-{number}.parquet")
        return Upstream(tmp_path / "pages", tuple(steps), LocalExecutor(1))

    return made


def texts(split: str, *some: str) -> pa.RecordBatch:
    """Sentences of one side with these texts."""
    return pa.RecordBatch.from_pylist([{"text": text, "split": split, "mentions": []} for text in some], schema=TYPED)


def test_validation_sentences_with_the_words_of_one_in_train_are_dropped(reach: Reach, tmp_path: Path) -> None:
    held_out = texts("validation", "the ship sank", "She sank.", "A boat")
    step = EqualInTrain().prepare(
        reach(texts("train", "A boat!", "It sank"), held_out, texts("train", "The ship sank."))
    )
    assert step.keys == {sentence_key("the ship sank"), sentence_key("a boat")}
    assert step.apply(held_out)[1] == [Reason.EQUAL_IN_TRAIN, None, Reason.EQUAL_IN_TRAIN]
    assert step.apply(texts("train", "the ship sank"))[1] == [None]
    assert list(tmp_path.iterdir()) == [tmp_path / "pages"], "the keys on disk are gone"
    assert EqualInTrain().apply(held_out) == (held_out, ())


def test_frequent_and_common_categories_are_those_of_the_train_part(reach: Reach) -> None:
    upstream = reach(
        sentences(["City"], ["City", "River"]), sentences(["Moss"] * 3, split="validation"), sentences(["River", "Sea"])
    )
    rare = RareCategories(replace(SETTINGS, min_mentions=2)).prepare(upstream)
    assert rare.counts == {"City": 2, "River": 2, "Sea": 1}
    assert rare.kept == {"City", "River"}
    settings = replace(SETTINGS, common_categories=1)
    assert CommonCategories(settings, True).prepare(upstream).common == {"City"}
    assert CommonCategories(settings, False).prepare(upstream).common == frozenset()


@pytest.mark.parametrize(
    "step",
    [
        EqualInTrain(frozenset({1})),
        RareCategories(SETTINGS),
        OnlyUntyped(False),
        CommonCategories(SETTINGS, True, frozenset({ENTITY})),
    ],
)
def test_a_step_names_the_columns_that_it_reads(step: PreparedStep, reach: Reach) -> None:
    """A step after it that counts has no others read."""
    upstream = reach(sentences(["City"], ["River"]), steps=[step])
    assert list(upstream.map(_number_of_rows, ())) == [2]


def _number_of_rows(_: Path, batches: Iterator[pa.RecordBatch]) -> int:
    return sum(rows.num_rows for rows in batches)


def rare(**counts: int) -> RareCategories:
    """Filter 1, as it was prepared for mentions of these categories."""
    return RareCategories(SETTINGS, Counter(counts), frozenset(counts))


@pytest.mark.parametrize("balance", ["literal", "fit"])
def test_copies_are_drawn_of_train_sentences_alone(balance: Literal["literal", "fit"], reach: Reach) -> None:
    settings = replace(SETTINGS, balance=balance, alpha=0.0, sample_size=6)
    train, held_out = sentences(["B", "A"], ["A"], ["B", "A"]), sentences(["A"], ["C"], split="validation")
    step = Sampling(settings).prepare(reach(train, held_out, steps=[rare(A=3, B=2)]))
    assert step.rates is not None
    assert step.rates.weights.keys() == {"A", "B"}
    assert step.report["method"] == balance
    assert [step.report[balance][name] for name in ("alpha", "total")] == [0.0, 6]
    assert step.report.keys() == {"method", "literal", "fit"}
    assert step.report[balance].keys() == set(step.rates.__slots__) - {"method", "weights"}
    rows, reasons = step.apply(train)
    expected = [step.rates.expect_copies(each) for each in (["A", "B"], ["A"], ["A", "B"])]
    assert rows["expected_copies"].to_pylist() == expected
    assert sum(expected) == pytest.approx(6)
    chances = [uniform(settings.seed, "copies", f"w:{number}") for number in range(3)]
    assert rows["copies"].to_pylist() == [draw_copies(*each) for each in zip(expected, chances, strict=True)]
    assert (rows.schema, reasons) == (TYPED, ())
    rows, _ = step.apply(held_out)
    assert [rows[name].to_pylist() for name in ("expected_copies", "copies")] == [[1.0, 1.0], [1, 1]]


def test_a_sentence_whose_copies_no_column_holds_is_told(reach: Reach) -> None:
    upstream, most = reach(sentences(["A"]), steps=[rare(A=1)]), 2**31 - 2
    settings = replace(SETTINGS, balance="literal", sample_size=most)
    assert Sampling(settings).prepare(upstream).apply(sentences(["A"]))[0]["copies"].to_pylist() == [most]
    with raises(SettingsError, "sample_size = 2147483647: a sentence would get 2.15e+09 copies; choose less"):
        Sampling(replace(settings, sample_size=most + 1)).prepare(upstream)


NO_LINK = "no sentence of the train part has a link; give a larger dump"
NO_TYPE = "no link leads to a title that the knowledge types; give title tables or infobox mappings for this wiki's"
NONE_FREQUENT = "the most frequent category, Sea, has 5 mentions; take a smaller --set min_mentions=7, or give more"


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        ({}, {}, f"{NO_LINK}, or a smaller --set validation_ratio"),
        (
            {},
            {"validation_ratio": 0.0, "steps": (*SETTINGS.steps, "a:B", "c:D")},
            f"{NO_LINK}; a:B, c:D may drop them all",
        ),
        ({ENTITY: 9}, {}, NO_TYPE),
        ({ENTITY: 9, "City": 4, "Sea": 5}, {"min_mentions": 7}, NONE_FREQUENT),
    ],
)
def test_messages_of_an_empty_corpus(
    counts: dict[str, int], settings: dict[str, object], message: str, reach: Reach
) -> None:
    nothing = reach(sentences(["A"], split="validation"), steps=[rare(**counts)])
    with raises(NerbertError, f"the corpus would be empty: {message}"):
        Sampling(replace(SETTINGS, **settings)).prepare(nothing)  # type: ignore[arg-type]


def sides(places: list[tuple[int, int]], settings: CorpusSettings) -> list[str]:
    """The split of sentences at these pages and starts."""
    rows = [{"wiki": "w", "page_id": page, "id": sentence_id("w", page, 1, start)} for page, start in places]
    return sides_of(pa.RecordBatch.from_pylist(rows, schema=UNTYPED), settings)


def test_a_page_is_whole_and_its_sentences_may_differ_by_setting() -> None:
    pages = sides([(page, start) for page in range(200) for start in range(5)], CorpusSettings())
    assert all(len(set(pages[place : place + 5])) == 1 for place in range(0, 1000, 5))
    assert set(pages) == {TRAIN, VALIDATION}
    by_sentence = CorpusSettings(split_by="sentence")
    assert set(sides([(7, start) for start in range(200)], by_sentence)) == {TRAIN, VALIDATION}


def test_the_share_is_that_of_the_setting() -> None:
    pages = [(page, 0) for page in range(4000)]
    found = sides(pages, CorpusSettings(validation_ratio=0.25))
    assert 0.22 < found.count(VALIDATION) / 4000 < 0.28
    assert found != sides(pages, CorpusSettings(validation_ratio=0.25, seed=2))
