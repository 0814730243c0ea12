import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.tidy import tidy
from nerbert.records import Link, Reason


def clean(raw: str, *, lists: bool = False) -> str:
    return tidy(raw, [], lists=lists)[0]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a\nb\n\nc", "a b\nc"),
        ("a\r\nb\r\n \r\nc", "a b\nc"),
        ("\n\n a \n", "a"),
        ("a\n== H ==\nb\n=== I ===", "a\nb"),
        ("== no heading", "== no heading"),
        ("a\n----\nb", "a\nb"),
        ("a\n* b\n# c\n: d\n; e\nf", "a\nf"),
        ("|- \n| a\n! b\n{| c\nd", "d"),
        ("a \t\u00a0\u2028 b", "a b"),
        ("so\u00adft\u200bly \u200e x\u2060", "softly x"),
        ("a (; b) (c ; ) () d ( , ; ) e", "a (b) (c) d e"),
        ("a ( b ) c", "a (b) c"),
        ("Anime ([], x) int[] y", "Anime (x) int[] y"),
        ("a , b ; c ,d", "a, b; c ,d"),
        ("  ", ""),
        ("(;)", ""),
    ],
)
def test_paragraphs(raw: str, text: str) -> None:
    assert clean(raw) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [("a\n* b\n** c\nd", "a\nb\nc\nd"), ("*\n* \n# x", "x"), ("\u00a0* x", "x"), ("* (;)\ny", "y")],
)
def test_list_items_if_wanted(raw: str, text: str) -> None:
    assert clean(raw, lists=True) == text


def test_links_move_with_the_text() -> None:
    raw = "\n  See  ( ; Paris )  and\n  Rome .\n\n\nIn \u200bOslo\u200b"
    links = [Link(raw.index(name), raw.index(name) + len(name), name) for name in ("Paris", "Rome", "Oslo")]
    text, kept, dropped = tidy(raw, links, lists=False)
    assert text == "See (Paris) and Rome .\nIn Oslo"
    assert [(text[link.start : link.end], link.target) for link in kept] == [(n, n) for n in ("Paris", "Rome", "Oslo")]
    assert not dropped


def test_anchors_lose_outer_blanks_and_vanish_if_nothing_is_left() -> None:
    raw = "a x b (;) c"
    links = [Link(1, 4, "X"), Link(6, 9, "Gone"), Link(9, 10, "Blank")]
    text, kept, dropped = tidy(raw, links, lists=False)
    assert (text, kept) == ("a x b c", [Link(2, 3, "X")])
    assert dropped == {Reason.EMPTY_ANCHOR: 2}


def test_links_outside_paragraphs_are_counted() -> None:
    raw = "== x ==\n* y\nz\n\nw\n\nv\n| u"
    links = [Link(raw.index(c), raw.index(c) + 1, c) for c in "xyz"] + [Link(raw.index("w"), raw.index("v") + 1, "wv")]
    text, kept, dropped = tidy(raw, [*links, Link(len(raw) - 1, len(raw), "u")], lists=False)
    assert [text[link.start : link.end] for link in kept] == ["z"]
    assert dropped[Reason.LINK_OUTSIDE_PROSE] == 4


@given(st.text("a(;,) \n\u200b*=[]|\u00ad", max_size=80), st.lists(st.integers(0, 80), max_size=12), st.booleans())
def test_links_are_kept_sorted_or_counted(raw: str, places: list[int], lists: bool) -> None:
    ends = sorted({min(place, len(raw)) for place in places})
    links = [Link(a, b, "X") for a, b in zip(ends[::2], ends[1::2], strict=False)]
    text, kept, dropped = tidy(raw, links, lists=lists)
    assert len(kept) + dropped.total() == len(links)
    last = 0
    for link in kept:
        assert last <= link.start < link.end <= len(text)
        anchor = text[link.start : link.end]
        assert anchor == anchor.strip()
        assert "\n" not in anchor
        last = link.end
    assert all(line == line.strip() and line for line in text.split("\n") if text)


@pytest.mark.parametrize(
    "piece", ["  ", "(", ")", "(;", "; ", " ,", "( ", "()", "\n", "\n*", "\u200b ", "[", "[]", " [ "]
)
def test_hostile_input_is_finished(piece: str) -> None:
    assert "\t" not in clean(piece * 100_000 + "x")


def test_emptied_square_brackets_leave_one_space() -> None:
    assert tidy("Arsen [] ist ([]) giftig [ ], sehr.", [], lists=False)[0] == "Arsen ist giftig, sehr."
