import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.wikitext.protected import protect, remove_opaque, show_protected, without_ours

MARKUP = "[]{}|'<>&=*#:;!_"


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a<!-- b -->c", "ac"),
        ("a<!-- b <ref> -->c</ref>", "ac</ref>"),
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
        ("a <math> x = 1 </math>b <ce>H2O</ce>", "a x \x0f 1b H2O"),
        ("a<refs>b</refs> <ref, b> <math-x>", "a<refs>b</refs> <ref, b> <math-x>"),
        ("a<table><tr><td><table>b</table>c</table>d<table>e", "ade"),
        ("a<source lang=c inline>int x</source>b<source>int y</source>", "aint xb"),
        ("a<ref>b <i>c<ref>d</ref>e", "ae"),
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


def test_control_characters_of_ours_are_taken_out_of_a_page() -> None:
    assert without_ours("a\x01\x15\x16\x19b\tc\nd\x1f\ue000") == "ab\tc\nd\x1f\ue000"
    assert not set(protect(MARKUP)) & set(without_ours(protect(MARKUP) + "x\t\n\r\x0b\x0c"))


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
