import random as randoms
from typing import Literal
from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import fold_redirects, normalise_title


def test_titles_have_one_form() -> None:
    assert normalise_title("  the__Beatles _(band)\n") == "The Beatles (band)"
    assert normalise_title("émile Zola") == "Émile Zola"
    assert normalise_title("\u200eParis\u200e") == "Paris"
    assert normalise_title("iPhone") == "IPhone"
    assert normalise_title("ß") == "ß"
    assert normalise_title("_ ") == ""


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_composed_and_decomposed_titles_are_one(title: str, form: Literal["NFC", "NFD"]) -> None:
    assert normalise_title("Cafe\u0301") == "Caf\u00e9"
    assert normalise_title("e\u0301mile") == "\u00c9mile"
    assert normalise_title("i\u0307stanbul") == normalise_title("\u0130stanbul")
    assert normalise_title(normalize(form, title)) == normalise_title(title)


@given(st.text())
def test_normalising_twice_changes_nothing(title: str) -> None:
    assert normalise_title(normalise_title(title)) == normalise_title(title)


def test_chains_end_at_their_last_title() -> None:
    assert fold_redirects({"A": "B", "B": "C", "X": "C"}) == {"A": "C", "B": "C", "X": "C"}


def test_cycles_end_at_themselves() -> None:
    assert fold_redirects({"A": "B", "B": "C", "C": "B", "S": "S"}) == {"A": "B", "B": "B", "C": "C", "S": "S"}


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from("ABCDEFGHIJ")), st.randoms())
def test_ends_do_not_depend_on_order(redirects: dict[str, str], random: randoms.Random) -> None:
    pairs = list(redirects.items())
    random.shuffle(pairs)
    ends = fold_redirects(redirects)
    assert ends == fold_redirects(dict(pairs))
    assert set(ends) == set(redirects)
    assert all(end not in redirects or ends[end] == end for end in ends.values())


def test_long_chains_are_folded_in_linear_time() -> None:
    size = 200_000
    ends = fold_redirects({str(number): str(number + 1) for number in range(size)})
    assert set(ends.values()) == {str(size)}
