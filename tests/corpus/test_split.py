"""The split: which side a sentence stands on, and twins across it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.corpus.filters import keys_on_both_sides, sentence_key, write_keys
from nerbert.corpus.mentions import sides_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import UNTYPED
from nerbert.records import TRAIN, VALIDATION, sentence_id

KEYS = st.lists(st.sets(st.integers(0, 2**64 - 1), max_size=8), max_size=4)


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
    found = sides([(page, 0) for page in range(4000)], CorpusSettings(validation_ratio=0.25))
    assert 0.22 < found.count(VALIDATION) / 4000 < 0.28


def test_sentences_with_the_same_words_have_one_key() -> None:
    assert sentence_key("The Ship, sank.") == sentence_key("the ship sank") != sentence_key("the ship sank twice")
    assert sentence_key("…") == sentence_key("")
    assert sentence_key("\ud800")


@given(KEYS, KEYS)
@example([{0}], [])
def test_keys_on_both_sides_are_the_intersection(train: list[set[int]], validation: list[set[int]]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        paths: dict[str, list[Path]] = {TRAIN: [], VALIDATION: []}
        for side, parts in ((TRAIN, train), (VALIDATION, validation)):
            for number, keys in enumerate(parts):
                paths[side].append(Path(folder) / f"{side}-{number}.npy")
                write_keys(keys, paths[side][-1])
                assert np.load(paths[side][-1]).dtype == np.uint64
        expected = set().union(*train) & set().union(*validation)
        assert keys_on_both_sides(paths[TRAIN], paths[VALIDATION]) == expected
