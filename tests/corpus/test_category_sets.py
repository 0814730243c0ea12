"""Multisets of categories as arrays."""

import random as randoms
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus import balance as module
from nerbert.corpus.balance import Multiset, tabulate

SENTENCES = st.lists(st.lists(st.sampled_from("ABCDE"), max_size=6), max_size=30)


def counted(sentences: list[list[str]]) -> Counter[Multiset]:
    return Counter(tuple(sorted(each)) for each in sentences)


@given(SENTENCES, st.randoms())
def test_counts_are_those_of_the_sentences_in_any_order(sentences: list[list[str]], random: randoms.Random) -> None:
    table = tabulate(counted(sentences))
    for distinct in (False, True):
        sums = table.by_category(table.sentences, distinct=distinct)
        wanted = Counter(name for each in sentences for name in (set(each) if distinct else each))
        assert dict(zip(table.names, sums, strict=True)) == wanted
    shuffled = tabulate(counted(random.sample(sentences, len(sentences))))
    for name in module.CategorySets.__slots__:
        np.testing.assert_array_equal(getattr(table, name), getattr(shuffled, name))


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_sums_over_rows_and_categories_whatever_the_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    counts = counted([["A"], ["A", "A", "B"], ["B", "C", "C", "C"], ["A", "C"], ["A"], ["E"], []])
    table, keys = tabulate(counts), sorted(filter(None, counts))
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
