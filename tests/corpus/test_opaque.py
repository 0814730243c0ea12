import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.opaque import protect, remove_opaque, show_protected

MARKUP = "[]{}|'<>&=*#:;!_"


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a<!-- b -->c", "ac"),
        ("a<!-- b <ref> -->c</ref>", "ac"),
        ("a<!-- never closed <ref>x</ref>", "a"),
        ("a\n<!-- alone -->\nb", "a\nb"),
        ("a\n<!-- two --><!-- of them -->\nb", "a\nb"),
        ("a <!-- not alone -->\nb", "a \nb"),
        ("<!-- first -->\nb", "b"),
        ("a\n<ref>x</ref><!-- c -->\nb", "a\n\nb"),
        ("a<ref>b</ref>c", "ac"),
        ('a<ref name="x" group=y>b</ref>c', "ac"),
        ("a<ref name=x />b<ref name=x/>c</ref>", "abc"),
        ("a<REF>b</Ref >c", "ac"),
        ("a<ref>b<ref>c</ref>d", "ad"),
        ("a<ref>never closed", "anever closed"),
        ("a<ref>b</ref name=x>c</ref>d", "ad"),
        ("a<ref>x</ref>b<ref>never closed", "abnever closed"),
        ("a<ref>b<references/>c", "abc"),
        ("a<references>x</references>b", "ab"),
        ("a<math>x^{[[2]]}</math>b<chem></chem>c", "aformulabc"),
        ("a <math> x = 1 </math>b <ce>H2O</ce>", "a x \ue009 1b H2O"),
        ("a<refs>b</refs>", "a<refs>b</refs>"),
        ("<b>a</b>", "<b>a</b>"),
        ("[[a]]<nowiki/>s", "[[a]]<nowiki/>s"),
        ("a</nowiki>", "a</nowiki>"),
        ("<gallery>\nx|[[y]]\nFile:z\nImage:u|v\n</gallery>", "\n[[File:x|[[y]]]]\n\n[[File:u|v]]\n"),
        ("<math>a^<ref>b</math>c</ref>", "formulac"),
    ],
)
def test_opaque_parts_go(source: str, left: str) -> None:
    assert remove_opaque(source) == left


def test_nowiki_keeps_its_text_from_being_read_as_markup() -> None:
    left = remove_opaque("a<nowiki>[[b]] {{c}} ''d'' <ref>e</ref></nowiki>f")
    assert not set(left) & set("[]{}'<>")
    assert show_protected(left) == "a[[b]] {{c}} ''d'' <ref>e</ref>f"


def test_private_characters_of_a_page_are_no_markup() -> None:
    assert show_protected(remove_opaque("a\ue000\ue00fb")) == "ab"
    assert show_protected(remove_opaque("a\ue013b\ue014")) == "ab\ue014"


@given(st.text(MARKUP + "a \n"))
def test_protecting_and_showing_is_nothing(text: str) -> None:
    assert len(protect(text)) == len(text)
    assert not set(protect(text)) & set(MARKUP)
    assert show_protected(protect(text)) == text


PARTS = ["<!--", "-->", "<ref>", "</ref>", "<ref/>", "<nowiki>", "</nowiki>", "<pre>", "</pre>", "<", ">", "a", "\n"]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_what_is_left_was_there_in_this_order(source: str) -> None:
    characters = iter(source)
    assert all(char in characters for char in show_protected(remove_opaque(source)))


@pytest.mark.parametrize("piece", ["<ref>", "<ref name=a ", "<!--", "<nowiki>", "</ref>", "<ref><math>", "<", "<ref/>"])
def test_hostile_input_is_finished(piece: str) -> None:
    assert len(remove_opaque(piece * 100_000)) <= len(piece) * 100_000
