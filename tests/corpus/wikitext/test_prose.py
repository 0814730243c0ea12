import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.wikitext.prose import join_paragraphs, keep_prose, remove_marks, squeeze
from nerbert.corpus.wikitext.protected import unprotect


def clean(raw: str, *, lists: bool = False) -> str:
    return unprotect(join_paragraphs(keep_prose(raw, lists=lists)))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a\nb\n\nc", "a b\nc"),
        ("a\r\nb\r\n \r\nc", "a b\nc"),
        ("\n\na \n", "a"),
        ("a\n b\n\n  c\nd", "a\nd"),
        (" a\nb\n \nc", "b\nc"),
        ("a\n== H ==\nb\n=== I ===", "a\nb"),
        ("a\n== H == \t\nb\n=\nc", "a\nb\nc"),
        ("== no heading", "== no heading"),
        ("a\n----\nb\n-----c", "a\nb\nc"),
        ("a\n* b\n# c\n: d\n; e\nf", "a\nf"),
        ("|- \n| a\n! b\n{| c\nd", "d"),
        ("a \t\u00a0\u2028 b", "a b"),
        ("so\u00adft\u200bly \u200e x\u2060", "softly x"),
        ("a (; b) (c ; ) () d ( , ; ) e", "a (b) (c) d e"),
        ("a ( b ) c", "a (b) c"),
        ("Anime ([], x) int[] y", "Anime (x) int[] y"),
        ("Arsen [] ist ([]) giftig [ ], sehr.", "Arsen ist giftig, sehr."),
        ("a , b ; c ,d ,", "a, b ; c ,d,"),
        ("f() and g( )(h)()", "f() and g()(h)"),
        ("a (b)c (d ;) e", "a (b)c (d) e"),
        ("a<p>b</p><p>* c</p><Li>d</Li>e", "a\nb\n* c\ne"),
        ("  ", ""),
        ("(;)", ""),
        ("x (, 1), (、2) ", "x (1), (2)"),
        ("É()é a\u00a0. b .\nc .d ، e", "Éé a. b. c .d، e"),
        ("い「」う。あ（；）は「x」。\nか『』 。き", "あは「x」。き"),
        ("あ 、い 。う", "あ、い。う"),
    ],
)
def test_paragraphs(raw: str, text: str) -> None:
    assert clean(raw) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a\n* b\n** c\nd", "a\nb\nc\nd"),
        ("*\n* \n# x", "x"),
        ("\u00a0* x", "x"),
        ("* (;)\ny", "y"),
        ("* a\n*: b\n== c ==\n: d", "a\nb\nd"),
        ("<li>a<li>b</li>c", "a\nb\nc"),
    ],
)
def test_list_items_if_wanted(raw: str, text: str) -> None:
    assert clean(raw, lists=True) == text


PIECES = st.text("a(;,) \n\u200b*=[]|\u00ad-:–\u3000\t", max_size=80)


@given(PIECES, st.booleans())
def test_lines_are_tidy_and_tidying_ends(raw: str, lists: bool) -> None:
    text = clean(raw, lists=lists)
    assert all(line == " ".join(line.split()) != "" for line in text.split("\n") if text)
    assert squeeze(text) == text
    assert sum(char == "a" for char in text) <= raw.count("a")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("''a'' '''b''' '''''c'''''", "a b c"),
        ("''''a''''", "'a'"),
        ("''''''a''''''", "'a'"),
        ("'''''''a", "''a"),
        ("''[[Hamlet]]'''s father", "[[Hamlet]]'s father"),
        ("'''[[Hamlet]]''''s father", "[[Hamlet]]'s father"),
        ("l'''arbre''", "l'arbre"),
        ("''l'''arbre", "l'arbre"),
        ("a '''b''' ''c'''s", "a b' cs"),
        ("''a l'''b cc'''d '''e", "a l'b ccd e"),
        ("'''Hamlet'' x''' y", "Hamlet x y"),
        ("''x\n'''y", "x\ny"),
        ("'' '''", " '"),
    ],
)
def test_marks_and_apostrophes(source: str, text: str) -> None:
    assert remove_marks(source) == text


@given(st.text("'a \n", max_size=60))
def test_only_apostrophes_in_runs_go(source: str) -> None:
    left = remove_marks(source)
    assert left.replace("'", "") == source.replace("'", "")
    for line, other in zip(source.split("\n"), left.split("\n"), strict=True):
        assert other.count("'") <= line.count("'")
        assert "''" in line or other == line
