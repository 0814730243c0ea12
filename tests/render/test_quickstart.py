"""The quickstart's page and picture: every figure of the result is there, and no text does anything."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from nerbert.errors import visible
from nerbert.evaluation.quickstart import QuickstartResult
from nerbert.render.quickstart import LIMITS, NEXT, picture, write_page
from nerbert.terminal import percent
from tests.pages import tables_of, text_of
from tests.quickstart.made_up import made_up_result
from tests.render.checks import HOSTILE as EVIL
from tests.render.checks import check_page

SVG = "{http://www.w3.org/2000/svg}"
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
    check_page(page)
    assert "<title>nerbert quickstart</title>" in page
    toy, asked, tuned = made_up_result().models
    by_type, funnel = tables_of(page)
    assert by_type == [
        ["type", "training mentions", toy.label, asked.label, tuned.label],
        ["date", "7", "7.07", "0.00", "7.07"], ["port", "1,301", "65.43", "43.21", "65.43"],
        ["vessel", "53", "76.54", "54.32", "76.54"],
        ["all, F1 mean ± sd", "1,361", toy.summary, "43.21", tuned.summary],
        ["types ignored", "", "44.07", "53.21", "65.53"],
    ]  # fmt: skip
    assert funnel[1:] == [
        ["pages", "2,246", "198", "redirect 2,046, not an article 2"], ["filter 1", "198", "198", "–"]
    ]  # fmt: skip


def test_page_says_what_was_done(page: str) -> None:
    result, text = made_up_result(), text_of(page)
    for said in (
        result.verdict, LIMITS, "in 137 seconds", "the same 31 sentences; all are scored on 151 test sentences with",
        "as tagged by good after 31 sentences", "good takes types at run time", "machine made up",
        *NEXT, "Ada vessel 0.91 left Bergen port 0.84",
        "types of held-out links: 40 steps: 45.67 %; 80 steps: 67.89 %; 121 steps: 56.78 %",
    ):  # fmt: skip
        assert said in text, said


def test_page_of_the_toy_alone(tmp_path: Path) -> None:
    result = made_up_result(tags=())
    alone = replace(result, models=result.models[:1], curve=((1, 0.5),), missing="good: pip install good")
    text = text_of(page_of(alone, tmp_path))
    assert "It found no entity" in text
    assert "A good model is missing here. good: pip install good" in text
    assert "takes types at run time" not in text
    assert text.count("1 steps: 50.00 %") == 1


def test_texts_on_the_page_do_nothing(tmp_path: Path) -> None:
    result = made_up_result(text=EVIL, tags=((0, 9, EVIL, 0.5),))
    models = tuple(replace(model, title=EVIL, by_type={EVIL: 0.5}) for model in result.models)
    evil = replace(result, mentions={EVIL: 3}, made={EVIL: EVIL}, models=models)
    page = page_of(evil, tmp_path)
    check_page(page)
    assert text_of(page).count(" ".join(visible(EVIL).split())) > 10
    assert visible(evil.models[1].label) in map(said, parsed(evil).iter(f"{SVG}text"))


def parsed(result: QuickstartResult) -> Any:
    """The picture as strict XML, which has no style, script or reference."""
    tree: Any = etree.fromstring(picture(result).encode("utf-8"))
    for each in tree.iter():
        assert each.tag in {SVG + name for name in ("svg", "title", "rect", "line", "circle", "text")}
        assert not {"style", "class", "href", "id"} & {str(name) for name in each.attrib}
        for name, value in each.attrib.items():
            assert not str(name).startswith(("on", "{"))
            assert not re.search(r"url\(|http", str(value))
    return tree


def said(element: Any) -> str:
    return "".join(element.itertext())


def test_picture_says_what_it_shows() -> None:
    result = made_up_result()
    tree = parsed(result)
    shown = [said(each) for each in tree.iter(f"{SVG}text")]
    assert "31 labelled sentences, 3 new entity types" in shown
    assert said(tree[0]).endswith(result.verdict)
    for model in result.models:
        assert {model.label, model.summary} <= set(shown)


@pytest.mark.parametrize("tuned", [(0.511, 0.556, 0.599), (0.0,), (1.0, 1.0, 0.8), (0.02, 0.0, 0.1)])
def test_bars_dots_and_deviations_are_where_their_figures_are(tuned: tuple[float, ...]) -> None:
    result = made_up_result((0.5,) * len(tuned), tuned)
    tree = parsed(result)
    rects = [each for each in tree.iter(f"{SVG}rect") if each.get("height") == "26"]
    dots, deviations = [*tree.iter(f"{SVG}circle")], [*tree.iter(f"{SVG}line")]
    assert [said(dot) for dot in dots] == [percent(f1) for each in result.models for f1 in each.f1]
    for place, each in enumerate(result.models):
        track, bar = rects[2 * place : 2 * place + 2]
        left, whole = float(track.get("x")), float(track.get("width"))
        assert float(bar.get("x")) == left
        assert float(bar.get("width")) == pytest.approx(whole * each.mean, abs=0.051)
        for f1 in each.f1:
            dot = dots.pop(0)
            assert float(dot.get("cx")) == pytest.approx(left + whole * f1, abs=0.051)
        for end, sign in (("x1", -1), ("x2", 1)):
            f1 = min(1, max(0, each.mean + sign * each.sd))
            assert float(deviations[place].get(end)) == pytest.approx(left + whole * f1, abs=0.051)
