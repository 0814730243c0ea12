import random as randoms
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import fold_redirects, normalise_title


@pytest.mark.parametrize(
    ("title", "normal"),
    [
        ("  the__Beatles _(band)\n", "The Beatles (band)"), ("émile Zola", "Émile Zola"),
        ("\u200eParis\u200e", "Paris"), ("iPhone", "IPhone"), ("ß", "ß"), ("_ ", ""),
        ("Cafe\u0301", "Caf\u00e9"), ("e\u0301mile", "\u00c9mile"),
        ("i\u0307stanbul", "\u0130stanbul"), ("\u0130stanbul", "\u0130stanbul"),
    ],
)  # fmt: skip
def test_titles_have_one_form(title: str, normal: str) -> None:
    assert normalise_title(title) == normal


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_composed_decomposed_and_normal_titles_are_one(title: str, form: Literal["NFC", "NFD"]) -> None:
    assert normalise_title(normalize(form, title)) == normalise_title(title)
    assert normalise_title(normalise_title(title)) == normalise_title(title)


def test_chains_end_at_their_last_title_and_cycles_at_themselves() -> None:
    assert fold_redirects({"A": "B", "B": "C", "X": "C"}) == {"A": "C", "B": "C", "X": "C"}
    assert fold_redirects({"A": "B", "B": "C", "C": "B", "S": "S"}) == {"A": "B", "B": "B", "C": "C", "S": "S"}


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from("ABCDEFGHIJ")), st.randoms())
def test_ends_do_not_depend_on_order(redirects: dict[str, str], random: randoms.Random) -> None:
    pairs = list(redirects.items())
    random.shuffle(pairs)
    ends = fold_redirects(redirects)
    assert ends == fold_redirects(dict(pairs))
    assert set(ends) == set(redirects)
    assert all(end not in redirects or ends[end] == end for end in ends.values())
