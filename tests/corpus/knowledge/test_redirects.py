"""Redirects in the database: against the folding of a dictionary."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import fold_redirects
from nerbert.corpus.types import write_redirects
from tests.corpus.knowledge.looking import a_database

titles = st.sampled_from("ABCDEFGHIJKL")


def ends(pairs: list[tuple[str, str]], omitted: int = 0) -> dict[str, str]:
    with a_database() as database:
        assert write_redirects(database, iter(pairs)) == omitted
        return dict(database.execute("SELECT title, target FROM redirects").fetchall())


def folded(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {title: end for title, end in fold_redirects(dict(pairs)).items() if title != end}


@given(st.lists(st.tuples(titles, titles), max_size=30))
@settings(max_examples=60)
def test_ends_are_those_of_the_dictionary(pairs: list[tuple[str, str]]) -> None:
    assert ends(pairs) == folded(pairs)


@pytest.mark.parametrize("last", ["end", "0", "500", "999"])
def test_long_chains_and_cycles_are_folded(last: str) -> None:
    """With a cycle, all of it, half of it, or the last title alone, and titles that lead into it."""
    pairs = [(str(number), str(number + 1)) for number in range(999)] + [("999", last)]
    pairs += [(f"to {number}", str(number)) for number in range(0, 1000, 7)] + [("A", "B"), ("B", "A")]
    random.Random(1).shuffle(pairs)
    assert ends(pairs) == folded(pairs)


def test_what_leads_nowhere_is_omitted_and_counted() -> None:
    long = "é" * 1000
    pairs = [("A", ""), ("B", "x" * 1001), ("x" * 1001, "C"), ("D", "E"), (long, long[:-1] + "e")]
    assert ends(pairs, omitted=3) == {"D": "E", long: long[:-1] + "e"}
    assert ends([]) == {}
