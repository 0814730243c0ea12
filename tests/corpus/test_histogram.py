import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus import histogram as module
from nerbert.corpus.histogram import Histogram

NAMES = "ABCDE"
SENTENCES = st.lists(st.lists(st.sampled_from(NAMES), max_size=6), max_size=30)


def counted(sentences: list[list[str]]) -> Histogram:
    histogram = Histogram(NAMES)
    for categories in sentences:
        histogram.add(categories)
    return histogram


@given(SENTENCES)
def test_counts_are_those_of_the_sentences(sentences: list[list[str]]) -> None:
    histogram = counted(sentences)
    assert histogram.mentions() == Counter(name for each in sentences for name in each)
    table = histogram.table()
    holding = dict(zip(table.names, table.by_category(table.sentences, distinct=True), strict=True))
    assert holding == Counter(name for each in sentences for name in set(each))
    assert dict(histogram) == Counter(tuple(sorted(each)) for each in sentences)
    assert histogram.sentences == len(sentences)
    assert len(histogram) == len(dict(histogram))


@given(SENTENCES, SENTENCES)
def test_shards_add_up_in_any_order_after_travelling(some: list[list[str]], others: list[list[str]]) -> None:
    whole = counted(some + others)
    for first, second in ((some, others), (others, some)):
        merged = counted(first)
        merged.merge(pickle.loads(pickle.dumps(counted(second))))
        assert dict(merged) == dict(whole)
        for name in module.CategorySets.__slots__:
            np.testing.assert_array_equal(getattr(merged.table(), name), getattr(whole.table(), name))


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_sums_over_rows_and_categories_whatever_the_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    histogram = counted([["A"], ["A", "A", "B"], ["B", "C", "C", "C"], ["A", "C"], ["A"], ["E"], []])
    table = histogram.table()
    keys = sorted((key for key, _ in histogram if key), key=lambda key: [NAMES.index(name) for name in key])
    values = {"A": 1.0, "B": 10.0, "C": 100.0, "E": 1000.0}
    column, row = np.array(list(values.values())), np.arange(1.0, len(keys) + 1)
    assert table.names == tuple(values)
    assert table.sums(column).tolist() == [sum(values[name] for name in set(key)) for key in keys]
    assert table.means(column).tolist() == [sum(values[name] for name in key) / len(key) for key in keys]
    for distinct in (True, False):
        wanted = [
            sum(number * (min(key.count(name), 1) if distinct else key.count(name))
                for number, key in enumerate(keys, 1))
            for name in values
        ]  # fmt: skip
        assert table.by_category(row, distinct=distinct).tolist() == wanted


def test_more_categories_than_two_bytes_can_number() -> None:
    names = [f"c{number:05}" for number in range(70_000)]
    histogram = Histogram(names)
    histogram.add(["c69999", "c00000", "c69999"], 3)
    assert dict(histogram) == {("c00000", "c69999", "c69999"): 3}
    assert histogram.mentions() == {"c00000": 3, "c69999": 6}


def test_names_must_be_known_and_the_same() -> None:
    with pytest.raises(KeyError):
        Histogram("AB").add(["C"])
    with pytest.raises(ValueError, match="not the same"):
        Histogram("AB").merge(Histogram("AC"))
