"""The picture: an SVG that stands alone, whose bars, marks and words are where they should be, whatever the text."""

import re
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from nerbert.quickstart.result import Marked, Result, verdict
from nerbert.render.quickstart.picture import picture, write_picture
from nerbert.terminal import percent, visible
from tests.quickstart.made_up import made_up_result, with_text

SVG = "http://www.w3.org/2000/svg"
CHAR, LEFT, WIDTH = 8.4, 28, 860
SMALL = 5.6
"""Width of a character of a type's name."""
LONGEST = int((WIDTH - 2 * LEFT) / CHAR)
"""Characters that a line has room for."""
MOST_LINES = 6
EVIL = "<script>alert(1)</script> &amp; \"'> ]]> \x1b[31m\x00\x9b \u202eabc\u2066 \uffff\ufffe \ud800 </text>"


def parsed(result: Result) -> "etree._Element":
    """The picture as strict XML, which raises for what isn't well-formed."""
    return etree.fromstring(picture(result).encode("utf-8"))


def all_of(tree: "etree._Element", name: str) -> "list[etree._Element]":
    return list(tree.iter(f"{{{SVG}}}{name}"))


def number(element: "etree._Element", name: str) -> float:
    return float(str(element.attrib[name]))


def text_of(element: "etree._Element") -> str:
    return "".join(str(part) for part in element.itertext())


def words(tree: "etree._Element") -> "dict[float, list[etree._Element]]":
    """The words of the sentence by the height of their line; they alone have a width that is given."""
    found = defaultdict(list)
    for each in all_of(tree, "text"):
        if "textLength" in each.attrib:
            found[number(each, "y")].append(each)
    return dict(found)


def lines(tree: "etree._Element") -> list[str]:
    return [" ".join(map(text_of, found)) for _, found in sorted(words(tree).items())]


def grounds(tree: "etree._Element") -> "list[etree._Element]":
    """What stands behind mentions."""
    return [each for each in all_of(tree, "rect") if each.get("height") == "20"]


def types(tree: "etree._Element") -> "list[etree._Element]":
    return [each for each in all_of(tree, "text") if each.get("font-size") == "10"]


def levels(tree: "etree._Element") -> list[tuple[str, float]]:
    """The types' names, and how far below the top of its mention's ground each stands."""
    tops = [number(each, "y") for each in grounds(tree)]
    return [(text_of(each), number(each, "y") - max(y for y in tops if y < number(each, "y"))) for each in types(tree)]


def names_are_apart(tree: "etree._Element") -> None:
    """No two names at one height stand in each other's way."""
    ends: dict[float, float] = {}
    for each in types(tree):
        x, y = number(each, "x"), number(each, "y")
        assert x >= ends.get(y, 0) - 0.11, text_of(each)
        ends[y] = x + SMALL * len(text_of(each))


def is_cut(tree: "etree._Element") -> bool:
    return any(text_of(each) == "…" and "textLength" not in each.attrib for each in all_of(tree, "text"))


def bars(tree: "etree._Element") -> "list[tuple[etree._Element, etree._Element]]":
    """For each way the track from 0 to 100 and the bar on it."""
    found = [each for each in all_of(tree, "rect") if each.get("height") == "26"]
    return list(zip(found[::2], found[1::2], strict=True))


def stands_alone(tree: "etree._Element") -> None:
    for each in tree.iter():
        assert isinstance(each.tag, str), "a comment or an instruction"
        assert each.tag in {f"{{{SVG}}}{name}" for name in ("svg", "title", "rect", "line", "circle", "text")}
        assert not {"style", "class", "href", "id"} & {str(name) for name in each.attrib}
        for name, value in each.attrib.items():
            assert not str(name).startswith(("on", "{"))
            assert "url(" not in str(value)
            assert "http" not in str(value)


def test_stands_alone_and_says_what_it_shows(tmp_path: Path) -> None:
    result = made_up_result()
    tree = parsed(result)
    stands_alone(tree)
    assert tree.nsmap == {None: SVG}
    assert picture(result).count("http") == 1
    shown = [text_of(each) for each in all_of(tree, "text")]
    assert "31 labelled sentences, 3 new types of entity" in shown
    assert "F1 in percent on 151 test sentences; a dot a seed of fine-tuning" in shown
    assert verdict(result) in shown
    title = text_of(tree[0])
    assert tree[0].tag == f"{{{SVG}}}title"
    for way in result.ways:
        assert way.title in shown
        assert way.told in shown
        assert f"{way.title}: F1 {way.told}" in title
    assert title.endswith(verdict(result))
    write_picture(result, tmp_path / "result.svg")
    assert (tmp_path / "result.svg").read_text(encoding="utf-8") == f"{picture(result)}\n"
    assert etree.parse(tmp_path / "result.svg").getroot().get("viewBox") == tree.get("viewBox")


@pytest.mark.parametrize("ner", [(0.511, 0.556, 0.599), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.001, 0.002, 0.006)])
def test_bars_are_as_long_as_their_f1(ner: tuple[float, ...]) -> None:
    result = made_up_result(ner=ner)
    found = bars(parsed(result))
    assert len(found) == 2
    assert len({bar.get("fill") for _, bar in found}) == 2
    for way, (track, bar) in zip(result.ways, found, strict=True):
        assert number(bar, "x") == number(track, "x")
        assert number(bar, "width") == pytest.approx(number(track, "width") * way.mean, abs=0.051)
    assert len({(track.get("x"), track.get("width")) for track, _ in found}) == 1


def test_a_dot_a_seed_at_its_f1() -> None:
    result = made_up_result()
    tree = parsed(result)
    dots = all_of(tree, "circle")
    assert [text_of(dot) for dot in dots] == [percent(f1) for way in result.ways for f1 in way.f1]
    for place, f1 in enumerate([*result.ways[0].f1, *result.ways[1].f1]):
        track, bar = bars(tree)[place // 3]
        at = number(track, "x") + number(track, "width") * f1
        assert number(dots[place], "cx") == pytest.approx(at, abs=0.051)
        assert number(bar, "y") < number(dots[place], "cy") < number(bar, "y") + number(bar, "height")


@pytest.mark.parametrize(
    ("ner", "ends"), [((0.5, 0.6, 0.7), (0.5, 0.7)), ((0.0, 0.9), (0.0, 1.0)), ((0.02, 0.02), (0.02, 0.02)),
                      ((0.0, 0.02, 0.1), (0.0, 0.0929)), ((1.0, 1.0, 0.8), (0.8179, 1.0))]
)  # fmt: skip
def test_the_deviation_is_cut_at_0_and_100(ner: tuple[float, ...], ends: tuple[float, float]) -> None:
    tree = parsed(made_up_result((0.5,) * len(ner), ner))
    track = bars(tree)[1][0]
    line = all_of(tree, "line")[1]
    for name, end in zip(("x1", "x2"), ends, strict=True):
        assert number(line, name) == pytest.approx(number(track, "x") + number(track, "width") * end, abs=0.1)


def test_texts_do_nothing() -> None:
    result = with_text(EVIL, (0, 8, "<b>&\u202e\x1b\uffff"))
    text = picture(result)
    for each in (
        "<script",
        "</script",
        "<b>",
        "\u202e",
        "\u2066",
        "\x1b",
        "\x00",
        "\x9b",
        "\uffff",
        "\ufffe",
        "\ud800",
    ):
        assert each not in text
    tree = parsed(result)
    stands_alone(tree)
    shown = " ".join(lines(tree))
    for each in ("<script>alert(1)</script>", "&amp;", "\"'>", "]]>", r"\x1b[31m", r"\u202eabc", r"\ud800", "</text>"):
        assert each in shown
    assert [text_of(each) for each in types(tree)] == [r"<b>&\u202e\x1b" + "\ufffd"]


def test_words_stand_where_their_characters_are() -> None:
    text = "The  brig Ada, left."
    found = words(parsed(with_text(text)))
    assert len(found) == 1
    (line,) = found.values()
    assert [text_of(each) for each in line] == ["The", "brig", "Ada,", "left."]
    for each in line:
        assert number(each, "x") == pytest.approx(LEFT + CHAR * text.index(text_of(each)), abs=0.051)
        assert number(each, "textLength") == pytest.approx(CHAR * len(text_of(each)), abs=0.051)


def test_a_mention_is_marked_where_it_stands() -> None:
    tree = parsed(with_text("The brig Ada left Bergen.", (4, 12, "vessel"), (18, 24, "port")))
    brig, bergen = grounds(tree)
    at = {text_of(each): number(each, "x") for (line,) in [words(tree).values()] for each in line}
    for ground, first, long in ((brig, "brig", 8), (bergen, "Bergen.", 6)):
        assert number(ground, "x") + 2 == pytest.approx(at[first], abs=0.051)
        assert number(ground, "width") - 4 == pytest.approx(CHAR * long, abs=0.051)
    assert [(text_of(each), number(each, "x")) for each in types(tree)] == [
        ("vessel", at["brig"]), ("port", at["Bergen."])
    ]  # fmt: skip
    assert brig.get("fill") != bergen.get("fill")
    again = parsed(with_text("Ada and Bea.", (0, 3, "vessel"), (8, 11, "vessel")))
    assert {each.get("fill") for each in grounds(again)} == {brig.get("fill")}


@pytest.mark.parametrize(
    ("names", "below"),
    [
        # between the starts of two words there are 5 · 8.4 = 42 px, room for 6 · 5.6 = 39.2 px and a little
        (("n" * 6, "port"), (33, 33)),
        (("n" * 7, "port"), (33, 43)),
        (("n" * 14, "port", "port"), (33, 43, 33)),  # the first has ended
        (("n" * 7, "n" * 7, "port"), (33, 43, 33)),  # the second stands lower, and is in nobody's way above
        (("n" * 7, "n" * 14, "n" * 7, "n" * 6, "port"), (33, 43, 33, 43, 33)),
        (("n" * 18, "port", "port"), (33, 43, 43)),
    ],
)
def test_a_name_that_would_run_into_the_one_before_stands_lower(names: tuple[str, ...], below: tuple[int, ...]) -> None:
    text = " ".join(["name"] * len(names))
    tree = parsed(with_text(text, *((5 * place, 5 * place + 4, name) for place, name in enumerate(names))))
    assert levels(tree) == list(zip(names, below, strict=True))
    assert [number(each, "x") for each in types(tree)] == [number(each, "x") + 2 for each in grounds(tree)]
    names_are_apart(tree)


def test_a_name_with_no_room_at_either_height_is_left_out() -> None:
    long = "n" * 12
    tree = parsed(with_text("a b c d e f g h", *((2 * place, 2 * place + 1, long) for place in range(8))))
    assert len(grounds(tree)) == 8  # every mention is marked
    assert levels(tree) == [(long, 33), (long, 43), (long, 33), (long, 43)]
    names_are_apart(tree)


def test_names_of_each_line_begin_anew() -> None:
    line = "x" * (LONGEST - 1)
    tree = parsed(with_text(f"{line} {line}", (0, 9, "n" * 99), (LONGEST, LONGEST + 9, "port")))
    assert levels(tree) == [("n" * 99, 33), ("port", 33)]


def test_long_texts_are_broken_between_words() -> None:
    text = " ".join(["seven77"] * 30)
    tree = parsed(with_text(text))
    assert lines(tree) == [" ".join(["seven77"] * 12), " ".join(["seven77"] * 12), " ".join(["seven77"] * 6)]
    assert not is_cut(tree)
    heights = sorted(words(tree))
    assert len({below - above for above, below in pairwise(heights)}) == 1
    assert number(tree, "height") == number(parsed(with_text("one")), "height") + heights[2] - heights[0]


@pytest.mark.parametrize("more", [0, 1])
def test_a_line_that_is_just_full_is_not_broken(more: int) -> None:
    text = "x" * (LONGEST - 3 + more) + " ab"
    assert len(text) == LONGEST + more
    assert len(lines(parsed(with_text(text)))) == 1 + more


def test_what_is_too_long_is_cut_and_says_so() -> None:
    line = "y" * (LONGEST - 1)
    whole = parsed(with_text(" ".join([line] * MOST_LINES)))
    assert lines(whole) == [line] * MOST_LINES
    assert not is_cut(whole)
    cut = parsed(with_text(" ".join([line] * MOST_LINES) + " z", (MOST_LINES * LONGEST, MOST_LINES * LONGEST + 1, "t")))
    assert lines(cut) == [line] * MOST_LINES
    assert is_cut(cut)
    assert (grounds(cut), types(cut)) == ([], [])
    assert number(cut, "height") > number(whole, "height")


def test_a_word_longer_than_a_line_is_broken_within() -> None:
    tree = parsed(with_text("ab " + "x" * (2 * LONGEST + 5) + " cd"))
    assert lines(tree) == ["ab", "x" * LONGEST, "x" * LONGEST, "xxxxx cd"]


def test_a_mention_across_a_break_is_marked_on_both_lines_and_named_once() -> None:
    text = "z" * (LONGEST - 4) + " New York left"
    place = text.index("New")
    tree = parsed(with_text(text, (place, place + 8, "port")))
    assert lines(tree) == ["z" * (LONGEST - 4) + " New", "York left"]
    first, second = grounds(tree)
    assert number(first, "y") < number(second, "y")
    assert number(first, "x") + 2 == pytest.approx(LEFT + CHAR * place, abs=0.051)
    assert number(first, "width") - 4 == pytest.approx(CHAR * 3, abs=0.051)
    assert number(second, "x") + 2 == pytest.approx(LEFT, abs=0.051)
    assert number(second, "width") - 4 == pytest.approx(CHAR * 4, abs=0.051)
    (name,) = types(tree)
    assert text_of(name) == "port"
    assert number(first, "y") < number(name, "y") < number(second, "y")
    assert first.get("fill") == second.get("fill")


@pytest.mark.parametrize("text", ["", " ", "   \n\t " * 99])
def test_a_text_without_a_word_leaves_the_line_empty(text: str) -> None:
    tree = parsed(with_text(text))
    assert words(tree) == {}
    assert len(bars(tree)) == 2
    assert not is_cut(tree)


@pytest.mark.parametrize(
    "text", ["漢字ｆｕｌｌ　ｗｉｄｔｈ", "👩‍👩‍👧‍👦🏴‍☠️ é e\u0301 ", "שלום עולם مرحبا", "\u2028a\u00a0b\u200b\ufeff" * 50]
)
def test_characters_of_other_widths_are_shown(text: str) -> None:
    tree = parsed(with_text(text, (0, 2, "物")))
    assert "".join("".join(lines(tree)).split()) == "".join(text.split())
    assert text_of(types(tree)[0]) == "物"


@st.composite
def sentences(draw: st.DrawFn) -> tuple[str, tuple[Marked, ...]]:
    """Texts of any characters and of many words, with disjoint mentions."""
    parts = st.one_of(st.text(max_size=12), st.text("ab ", max_size=40), st.just("w" * 120))
    text = " ".join(draw(st.lists(parts, max_size=40)))
    ends = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pairs = zip(ends[::2], ends[1::2], strict=False)
    return text, tuple((start, end, f"t{start}") for start, end in pairs)


@given(sentences())
@example((EVIL * 30, ((0, 4, EVIL),)))
def test_every_word_is_shown_within_the_picture_until_the_cut(drawn: tuple[str, tuple[Marked, ...]]) -> None:
    text, marked = drawn
    tree = parsed(with_text(text, *marked))
    stands_alone(tree)
    told = [visible(word) for word in re.findall(r"\S", text.replace("\uffff", "\ufffd").replace("\ufffe", "\ufffd"))]
    shown = "".join(text_of(each) for found in words(tree).values() for each in found)
    assert "".join(told).startswith(shown)
    assert is_cut(tree) == (shown != "".join(told))
    assert len(words(tree)) <= MOST_LINES
    for y, found in words(tree).items():
        assert y < number(tree, "height")
        ends = [number(each, "x") + number(each, "textLength") for each in found]
        starts = [number(each, "x") for each in found]
        assert all(start >= LEFT for start in starts)
        assert all(end <= WIDTH - LEFT + 0.11 for end in ends)
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    names = [text_of(each) for each in types(tree)]
    assert len(names) == len(set(names))
    assert all(number(each, "x") >= LEFT - 2.01 for each in grounds(tree))
    assert all(number(each, "x") + number(each, "width") <= WIDTH - LEFT + 2.11 for each in grounds(tree))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[str, tuple[Marked, ...]]:
    """Texts with many short mentions close to each other, under names short and long."""
    text, marked = "", []
    for _ in range(draw(st.integers(1, 60))):
        text += draw(st.sampled_from(["", " ", " ", ", ", " and "]))
        long = draw(st.integers(1, 9))
        marked.append((len(text), len(text) + long, draw(st.text("abc", min_size=1, max_size=20))))
        text += "w" * long
    return text, tuple(marked)


@given(crowds())
def test_names_never_run_into_each_other(drawn: tuple[str, tuple[Marked, ...]]) -> None:
    tree = parsed(with_text(drawn[0], *drawn[1]))
    names_are_apart(tree)
    assert {below for _, below in levels(tree)} <= {33, 43}
    assert all(number(each, "y") < number(tree, "height") for each in types(tree))
    starts = {(number(each, "x") + 2, number(each, "y")) for each in grounds(tree)}
    for each in types(tree):  # under its own mention
        assert any(abs(x - number(each, "x")) < 0.2 and 33 <= number(each, "y") - y <= 43 for x, y in starts)


def test_a_single_seed_is_drawn() -> None:
    result = replace(made_up_result((0.25,), (0.5,)), seeds=(7,))
    tree = parsed(result)
    assert len(all_of(tree, "circle")) == 2
    assert [each.get("x1") == each.get("x2") for each in all_of(tree, "line")] == [True, True]
