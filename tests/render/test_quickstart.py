"""The quickstart's page and picture: every figure of the result is there, and no text does anything."""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from nerbert.quickstart.result import Marked, QuickstartResult, TaggedText
from nerbert.render.quickstart import LIMITS, NEXT, picture, write_page, write_picture
from nerbert.terminal import percent, visible
from tests.pages import check_harmless, tables_of, text_of
from tests.quickstart.made_up import made_up_result, with_text

SVG = "{http://www.w3.org/2000/svg}"
CHAR, SMALL, LEFT, WIDTH, MOST_LINES = 8.4, 5.6, 28, 860, 6
LONGEST = int((WIDTH - 2 * LEFT) / CHAR)
EVIL = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"' & &lt; \u202eabc\u2066 \x1b[31m\x00\x9b --> ]]>"
RAW = ("<script", "<img", "\u202e", "\u2066", "\x1b", "\x00", "\x9b")
MANIFEST = {
    "steps": [
        {"step": "pages", "in": 2246, "out": 198, "dropped": {"redirect": 2046, "not_an_article": 2}},
        {"step": "filter 1", "in": 198, "out": 198, "dropped": {}},
    ]
}


def page_of(result: QuickstartResult, folder: Path) -> str:
    write_page(result, MANIFEST, folder / "page.html")
    assert [path.name for path in folder.iterdir()] == ["page.html"]
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(made_up_result(), tmp_path_factory.mktemp("page"))


def test_page_has_every_table(page: str) -> None:
    check_harmless(page)
    assert "<title>nerbert quickstart</title>" in page
    mlm, ner = made_up_result().encoders
    by_type, funnel = tables_of(page)
    assert by_type == [
        ["type", "training mentions", mlm.title, ner.title],
        ["date", "7", "0.00", "7.07"], ["port", "1,301", "43.21", "65.43"], ["vessel", "53", "54.32", "76.54"],
        ["all, F1 mean ± sd", "1,361", mlm.summary, ner.summary], ["types ignored", "", "54.07", "65.53"],
    ]  # fmt: skip
    assert funnel[1:] == [
        ["pages", "2,246", "198", "redirect 2,046, not an article 2"], ["filter 1", "198", "198", "–"]
    ]  # fmt: skip


def test_page_says_what_was_done(page: str) -> None:
    result, text = made_up_result(), text_of(page)
    for said in (
        result.verdict, LIMITS, "in 137 seconds", "the same 31 sentences and scored on 151 test sentences with 2,643",
        "masked words of the same text: 120 steps, 12,345 tokens, 17 s", "machine made up", *NEXT,
    ):  # fmt: skip
        assert said in text, said
    for encoder in result.encoders:
        points = "; ".join(f"step {step}: {percent(value)} %" for step, value in encoder.curve)
        assert f"{encoder.title}: {encoder.measure}: {points}" in text


def test_page_draws_the_figures_in_its_own_theme_and_width(page: str) -> None:
    """The picture is a light card of 860 pixels; the page's bars have the page's colours and no width of their own."""
    result, chart = made_up_result(), re.findall(r'<svg class="bars".*?</svg>', page)
    assert len(chart) == len(result.encoders)
    for drawn, encoder in zip(chart, result.encoders, strict=True):
        assert f'width="{percent(encoder.mean)}%"' in drawn
        assert re.findall(r"<title>(.*?)</title>", drawn) == [percent(f1) for f1 in encoder.f1]
        ends = {
            f'{name}="{percent(min(1.0, max(0.0, encoder.mean + sign * encoder.sd)))}%"'
            for name, sign in (("x1", -1), ("x2", 1))
        }
        assert all(each in drawn for each in ends)
        assert not re.search(r"#[0-9a-f]{3}|fill=|stroke=", drawn), "colours are the style sheet's"
    assert 'viewBox="0 0 860' not in page


def test_page_shows_how_sure_the_tagger_is(page: str) -> None:
    assert "Ada vessel 0.91 left Bergen port 0.84" in text_of(page)


def test_page_shows_sentences_as_annotated_and_as_tagged(page: str) -> None:
    text = text_of(page)
    assert "annotated The brig Ada vessel left Bergen port & Oslo port <early>" in text
    assert "masked words of the same text The brig Ada left Bergen port & Oslo <early>" in text
    assert "links The brig Ada vessel left Bergen port & Oslo <early>" in text


def test_page_without_mentions_or_curve(tmp_path: Path) -> None:
    result = made_up_result(marked=())
    first, second = (replace(each, curve=((1, 0.5),)) for each in result.encoders)
    page = page_of(replace(result, encoders=(first, second)), tmp_path)
    assert "Nothing was found" in text_of(page)
    assert text_of(page).count("step 1: 50.00 %") == 2


def test_texts_on_the_page_do_nothing(tmp_path: Path) -> None:
    result = made_up_result(text=EVIL, marked=((0, 9, EVIL),))
    first, second = (replace(each, title=EVIL, measure=each.key, by_type={EVIL: 0.5}) for each in result.encoders)
    evil = replace(
        result, examples=(TaggedText(EVIL, {"gold": ((2, 8, EVIL),), "mlm": (), "ner": ((0, len(EVIL), EVIL),)}),),
        mentions={EVIL: 3}, made={EVIL: EVIL},
        encoders=(first, second),
    )  # fmt: skip
    page = page_of(evil, tmp_path)
    check_harmless(page)
    assert not [each for each in RAW if each in page]
    assert text_of(page).count(" ".join(visible(EVIL).split())) > 10


def parsed(result: QuickstartResult) -> "etree._Element":
    """The picture as strict XML, which raises for what isn't well-formed."""
    return etree.fromstring(picture(result).encode("utf-8"))


def all_of(tree: "etree._Element", name: str, **having: str) -> "list[etree._Element]":
    wanted = {key.replace("_", "-"): value for key, value in having.items()}
    return [each for each in tree.iter(SVG + name) if all(each.get(key) == wanted[key] for key in wanted)]


def number(element: "etree._Element", name: str) -> float:
    return float(str(element.attrib[name]))


def said(element: "etree._Element") -> str:
    return "".join(str(part) for part in element.itertext())


def words(tree: "etree._Element") -> "dict[float, list[etree._Element]]":
    """The words of the sentence by the height of their line; they alone have a given width."""
    found = defaultdict(list)
    for each in all_of(tree, "text"):
        if "textLength" in each.attrib:
            found[number(each, "y")].append(each)
    return dict(found)


def lines(tree: "etree._Element") -> list[str]:
    return [" ".join(map(said, found)) for _, found in sorted(words(tree).items())]


def marks(tree: "etree._Element") -> "list[etree._Element]":
    return all_of(tree, "rect", height="20")


def types(tree: "etree._Element") -> "list[etree._Element]":
    return all_of(tree, "text", font_size="10")


def check_alone(tree: "etree._Element") -> None:
    """No style, script or reference, and no two type names in each other's way."""
    for each in tree.iter():
        assert each.tag in {SVG + name for name in ("svg", "title", "rect", "line", "circle", "text")}
        assert not {"style", "class", "href", "id"} & {str(name) for name in each.attrib}
        for name, value in each.attrib.items():
            assert not str(name).startswith(("on", "{"))
            assert not re.search(r"url\(|http", str(value))
    ends: dict[float, float] = {}
    for each in types(tree):
        x, y = number(each, "x"), number(each, "y")
        assert x >= ends.get(y, 0) - 0.11, said(each)
        ends[y] = x + SMALL * len(said(each))


def test_picture_says_what_it_shows(tmp_path: Path) -> None:
    result = made_up_result()
    tree = parsed(result)
    check_alone(tree)
    shown = [said(each) for each in all_of(tree, "text")]
    assert "31 labelled sentences, 3 new entity types" in shown
    assert result.verdict in shown
    assert said(tree[0]).endswith(result.verdict)
    for each in result.encoders:
        assert {each.title, each.summary} <= set(shown)
        assert f"{each.title}: F1 {each.summary}" in said(tree[0])
    write_picture(result, tmp_path / "result.svg")
    assert (tmp_path / "result.svg").read_text(encoding="utf-8") == picture(result)


@pytest.mark.parametrize("ner", [(0.511, 0.556, 0.599), (0.0,), (1.0, 1.0, 0.8), (0.02, 0.0, 0.1)])
def test_bars_dots_and_deviations_are_where_their_figures_are(ner: tuple[float, ...]) -> None:
    result = made_up_result((0.5,) * len(ner), ner)
    tree = parsed(result)
    rects, dots, deviations = all_of(tree, "rect", height="26"), all_of(tree, "circle"), all_of(tree, "line")
    assert [said(dot) for dot in dots] == [percent(f1) for each in result.encoders for f1 in each.f1]
    for place, each in enumerate(result.encoders):
        track, bar = rects[2 * place : 2 * place + 2]
        left, whole = number(track, "x"), number(track, "width")
        assert number(bar, "x") == left
        assert number(bar, "width") == pytest.approx(whole * each.mean, abs=0.051)
        for f1, dot in zip(each.f1, dots[len(ner) * place :], strict=False):
            assert number(dot, "cx") == pytest.approx(left + whole * f1, abs=0.051)
        for end, sign in (("x1", -1), ("x2", 1)):
            f1 = min(1, max(0, each.mean + sign * each.sd))
            assert number(deviations[place], end) == pytest.approx(left + whole * f1, abs=0.051)


def test_words_and_marks_are_where_their_characters_are() -> None:
    text = "The  brig Ada left Bergen."
    tree = parsed(with_text(text, (5, 13, "vessel"), (19, 25, "port")))
    (line,) = words(tree).values()
    assert [said(each) for each in line] == text.split()
    for each in line:
        assert number(each, "x") == pytest.approx(LEFT + CHAR * text.index(said(each)), abs=0.051)
        assert number(each, "textLength") == pytest.approx(CHAR * len(said(each)), abs=0.051)
    for mark, start, long in zip(marks(tree), (5, 19), (8, 6), strict=True):
        assert number(mark, "x") + 2 == pytest.approx(LEFT + CHAR * start, abs=0.051)
        assert number(mark, "width") - 4 == pytest.approx(CHAR * long, abs=0.051)
    assert [said(each) for each in types(tree)] == ["vessel", "port"]


@pytest.mark.parametrize(
    ("names", "below"),
    [
        # between the starts of two words there are 5 · 8.4 = 42 px, room for 6 · 5.6 = 39.2 px and a little
        (("n" * 6, "port"), (33, 33)),
        (("n" * 7, "port"), (33, 43)),
        (("n" * 7, "n" * 14, "n" * 7, "n" * 6, "port"), (33, 43, 33, 43, 33)),
        (("n" * 18, "n" * 18, "port"), (33, 43, None)),
    ],
)
def test_a_name_that_would_run_into_another_moves_down_or_away(
    names: tuple[str, ...], below: tuple[int | None, ...]
) -> None:
    tree = parsed(with_text("name " * len(names), *((5 * n, 5 * n + 4, name) for n, name in enumerate(names))))
    top = number(marks(tree)[0], "y")
    wanted = [(name, top + down) for name, down in zip(names, below, strict=True) if down]
    assert [(said(each), number(each, "y")) for each in types(tree)] == wanted
    check_alone(tree)


@pytest.mark.parametrize("more", [0, 1])
def test_long_texts_break_and_are_cut(more: int) -> None:
    assert len(lines(parsed(with_text("x" * (LONGEST - 3 + more) + " ab")))) == 1 + more
    line = "y" * (LONGEST - 1)
    tree = parsed(with_text(" ".join([line] * (MOST_LINES + more))))
    assert lines(tree) == [line] * MOST_LINES
    assert (said(all_of(tree, "text")[-1]) == "…") == bool(more)
    assert lines(parsed(with_text("ab " + "x" * (LONGEST + 5) + " cd"))) == ["ab", "x" * LONGEST, "xxxxx cd"]


def test_a_mention_across_a_break_is_marked_on_both_lines_and_named_once() -> None:
    text = "z" * (LONGEST - 4) + " New York left"
    tree = parsed(with_text(text, (LONGEST - 3, LONGEST + 5, "port")))
    assert lines(tree) == ["z" * (LONGEST - 4) + " New", "York left"]
    assert [number(each, "width") - 4 for each in marks(tree)] == pytest.approx([3 * CHAR, 4 * CHAR], abs=0.051)
    assert [said(each) for each in types(tree)] == ["port"]


@st.composite
def sentences(draw: st.DrawFn) -> tuple[str, tuple[Marked, ...]]:
    """Texts of any characters and of many words, with disjoint mentions under long names."""
    parts = st.one_of(st.text(max_size=12), st.text("ab ", max_size=40), st.just("w" * 120))
    text = " ".join(draw(st.lists(parts, max_size=40)))
    ends = sorted(draw(st.sets(st.integers(0, len(text)), max_size=30)))
    pairs = zip(ends[::2], ends[1::2], strict=False)
    return text, tuple((start, end, f"t{start}" * draw(st.integers(1, 4))) for start, end in pairs)


@given(sentences())
@example((f"{EVIL} \uffff\ufffe \ud800" * 30, ((0, 4, f"{EVIL}\uffff"),)))
@example(("", ()))
def test_every_word_is_shown_within_the_picture_until_the_cut(drawn: tuple[str, tuple[Marked, ...]]) -> None:
    text, marked = drawn
    svg = picture(with_text(text, *marked))
    assert not [each for each in (*RAW, "\uffff", "\ufffe", "\ud800") if each in svg]
    tree = etree.fromstring(svg.encode("utf-8"))
    check_alone(tree)
    wanted = [visible(char) for char in re.findall(r"\S", text.replace("\uffff", "\ufffd").replace("\ufffe", "\ufffd"))]
    shown = "".join(said(each) for found in words(tree).values() for each in found)
    assert "".join(wanted).startswith(shown)
    assert len(words(tree)) <= MOST_LINES
    for y, found in words(tree).items():
        assert y < number(tree, "height")
        ends = [LEFT, *(number(each, "x") + number(each, "textLength") for each in found)]
        assert all(number(each, "x") >= end - 0.11 for each, end in zip(found, ends, strict=False))
        assert ends[-1] <= WIDTH - LEFT + 0.11
    for each in marks(tree):
        assert LEFT - 2.01 <= number(each, "x") <= number(each, "x") + number(each, "width") <= WIDTH - LEFT + 2.11
