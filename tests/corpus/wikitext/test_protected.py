import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.wikitext.protected import protect, remove_opaque, unprotect, without_ours
from tests.expected import rows

MARKUP = "[]{}|'<>&=*#:;!_"


@pytest.mark.parametrize(("source", "left"), rows(__file__, "protected"))
def test_opaque_parts_go(source: str, left: str) -> None:
    assert remove_opaque(source) == left


def test_nowiki_keeps_its_text_from_being_read_as_markup() -> None:
    left = remove_opaque("a<nowiki>[[b]] {{c}} ''d'' <ref>e</ref></nowiki>f")
    assert not set(left) & set("[]{}'<>")
    assert unprotect(left) == "a[[b]] {{c}} ''d'' <ref>e</ref>f"


def test_control_characters_of_ours_are_taken_out_of_a_page() -> None:
    assert without_ours("a\x01\x15\x16\x19b\tc\nd\x1f\ue000") == "ab\tc\nd\x1f\ue000"
    assert not set(protect(MARKUP)) & set(without_ours(protect(MARKUP) + "x\t\n\r\x0b\x0c"))


@given(st.text(MARKUP + "a \n"))
def test_protecting_and_showing_is_nothing(text: str) -> None:
    assert len(protect(text)) == len(text)
    assert not set(protect(text)) & set(MARKUP)
    assert unprotect(protect(text)) == text


PARTS = ["<!--", "-->", "<ref>", "</ref>", "<ref/>", "<nowiki>", "</nowiki>", "<pre>", "</pre>", "<", ">", "a", "\n"]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_what_is_left_was_there_in_this_order(source: str) -> None:
    characters = iter(source)
    assert all(char in characters for char in unprotect(remove_opaque(source)))
