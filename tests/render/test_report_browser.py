"""The report's page in a browser: on a phone, in both themes, by keyboard, with hostile data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.evaluation.report.report import make_report
from nerbert.formats.conll import example_of
from nerbert.render.report import write_report
from tests.evaluation.report.answers import GOLD, RIGHT, WRONG, told
from tests.render.test_report import EVIL, MODEL
from tests.serve.page.conftest import axe, browser

__all__ = ["browser"]
pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of everything: two taggers, long and hostile names and words, a learning curve, an exported model."""
    words = [EVIL, "x" * 5_000, "שלום", *["word"] * 300]
    gold = [*GOLD, example_of(words, [f"B-{EVIL}", f"B-{'long' * 99}", "O", *["O"] * 300])]
    types, other = ["port", "ship", EVIL, "long" * 99, "z"], told(**RIGHT)
    tagger = told(types, **WRONG, **{gold[-1].text: [(0, 1, "z", 0.9), (1, 2, "long" * 99, 0.6)]})
    report = make_report(tagger, gold, against=other, train=GOLD, command=f"nerbert report {'x' * 300}")
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(replace(report, learning=((5, 0.1), (10, 0.4)), model=MODEL), path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_anyone_can_read_it(browser: Any, page: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab, faults, asked = context.new_page(), list[str](), list[str]()
    tab.on("console", lambda said: faults.append(said.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert (faults, [each for each in asked if not each.startswith("data:")]) == ([], [page.as_uri()])
    found = tab.evaluate(f"{axe()}; axe.run(document, {{resultTypes: ['violations']}})")
    assert [f"{each['id']}: {each['nodes'][0]['html']:.300}" for each in found["violations"]] == []
    context.close()


def test_the_keyboard_leads_past_the_links_and_opens_what_is_folded(browser: Any, page: Path) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.locator(".skip").bounding_box()["x"] >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#overall"
    folded = tab.query_selector("#thresholds details:not([open]) > summary")
    folded.focus()
    assert folded.evaluate("(each) => getComputedStyle(each).outlineStyle") == "solid"
    tab.keyboard.press("Enter")
    assert folded.evaluate("(each) => each.parentElement.open")
    tab.close()
