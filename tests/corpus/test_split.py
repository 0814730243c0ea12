"""The split: which side a sentence stands on, and twins across it."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.split import keys_on_both_sides, sentence_key, side_of, write_keys
from nerbert.records import TRAIN, VALIDATION

KEYS = st.lists(st.sets(st.integers(0, 2**64 - 1), max_size=8), max_size=4)


def test_a_page_is_whole_and_its_sentences_may_differ_by_setting() -> None:
    pages, sentences = CorpusSettings(), CorpusSettings(split_by="sentence")
    for page in range(200):
        assert len({side_of("w", page, 1, start, pages) for start in range(5)}) == 1
    assert {side_of("w", 7, 1, start, sentences) for start in range(200)} == {TRAIN, VALIDATION}


def test_the_share_is_that_of_the_setting() -> None:
    sides = [side_of("w", page, 1, 0, CorpusSettings(validation_ratio=0.25)) for page in range(4000)]
    assert 0.22 < sides.count(VALIDATION) / 4000 < 0.28


def test_sentences_with_the_same_words_have_one_key() -> None:
    assert sentence_key("The Ship, sank.") == sentence_key("the ship sank") != sentence_key("the ship sank twice")
    assert sentence_key("…") == sentence_key("")
    assert sentence_key("\ud800")


@given(KEYS, KEYS)
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
