"""The page of tagged rows: one file that asks for nothing, says what it leaves out, and counts all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import visible
from nerbert.records import Span
from nerbert.render.tags_page import cut_to_fit, direction
from tests.render.checks import HOSTILE, check_page
from tests.tagger.jobs.conftest import Tag, capitals, tag
from tests.tagger.jobs.fakes import Capitals

__all__ = ["capitals", "tag"]
EVIL = HOSTILE.replace("alert(1)</", "Alert(1)</").replace("abc", "Abc")


def made(tag: Tag, *lines: str) -> Any:
    """The page of some texts."""
    Path("x.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    Path("y.html").unlink(missing_ok=True)
    assert tag("x.jsonl", "-o", "y.html") == 0
    return check_page(Path("y.html").read_text(encoding="utf-8"))


def texts(tree: Any, path: str) -> list[str]:
    """The text of each element at a path."""
    return ["".join(map(str, each.itertext())) for each in tree.xpath(path)]


def values(tree: Any, path: str) -> list[str]:
    """Attributes at a path."""
    return [str(each) for each in tree.xpath(path)]


def test_rows_types_confidences_and_counts(tag: Tag) -> None:
    tree = made(tag, "Ada met Bob.\r\nThen\tshe slept.", "", "no one", "Bob")
    assert texts(tree, "//h1") == ["x.jsonltagged by tagger"]
    assert texts(tree, "//div[@class='row']/div") == [
        "Adavowel met Bobelse.",
        "Thenelse? she slept.",
        "no one",
        "Bobelse",
    ]
    assert values(tree, "//div[@class='row']//mark/@title") == [
        "vowel, confidence 0.70",
        "else, confidence 0.83",
        "else, confidence 0.13",
        "else, confidence 0.83",
    ]
    assert len(texts(tree, "//mark[@tabindex='0']")) == 4
    assert texts(tree, "//mark[contains(@class, 'unsure')]/small") == ["else?"]
    assert texts(tree, "//ul[@class='legend']/li") == ["else 3", "vowel 1"]
    assert texts(tree, "//*[@class='left-out']") == []
    kinds = {mark.get("class") for mark in tree.iterfind(".//mark") if "unsure" not in str(mark.get("class"))}
    assert kinds == {"k k0", "k k1"}


def test_types_that_were_not_found_are_named(tag: Tag) -> None:
    assert "Not found: vowel." in texts(made(tag, "Bob"), "//p")
    assert "No entity was found. Types that the tagger knows: else, vowel." in texts(made(tag, "x"), "//p")


def test_what_a_text_holds_is_only_shown(tag: Tag, capitals: Capitals) -> None:
    capitals.head.types.append("<script>x</script>")
    tree = made(tag, EVIL)
    shown = texts(tree, "//div[@class='row']")[0]
    for name in ("vowel?", "vowel", "else?", "else"):
        shown = shown.replace(name, "")
    assert shown == visible(EVIL)
    assert values(tree, "//@src | //@href | //script") == ["data:,"]
    assert "prefers-color-scheme: dark" in texts(tree, "//style")[0]


@pytest.mark.parametrize(
    ("line", "side"),
    [("Ada", "ltr"), ("12 שלום Ada", "rtl"), ("«مرحبا»", "rtl"), ("123, !", "auto"), ("", "auto"), ("日本", "ltr")],
)
def test_lines_begin_where_their_letters_do(tag: Tag, line: str, side: str) -> None:
    assert direction(line) == side
    assert values(made(tag, f"{line}\nx"), "//div[@class='row']/div/@dir") == [side, "ltr"]


@pytest.fixture
def small_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for forty characters, ten of them for each entity."""
    monkeypatch.setattr("nerbert.render.tags_page.ROOM", 40)
    monkeypatch.setattr("nerbert.render.tags_page._ENTITY_ROOM", 10)


@pytest.mark.usefixtures("small_page")
@pytest.mark.parametrize("part", [1, 1 << 18])
def test_a_page_says_what_it_leaves_out(tag: Tag, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", part)
    tree = made(tag, "Ada slept", "", "x" * 15 + " Bob and so on", "y", "Eve", "")
    assert texts(tree, "//div[@class='row']") == ["Adavowel slept", "x" * 15 + "…"]
    (told,) = texts(tree, "//*[@class='left-out']")
    assert told.startswith("Too long for a page: the first 2 of 6 rows are shown. The counts above include all rows;")
    assert texts(tree, "//ul[@class='legend']/li") == ["vowel 2", "else 1"]


@pytest.mark.usefixtures("small_page")
def test_a_page_that_is_just_full_leaves_out_nothing(tag: Tag) -> None:
    tree = made(tag, "Ada slept", "", "x" * 21, "")
    assert len(texts(tree, "//div[@class='row']")) == 2
    assert texts(tree, "//*[@class='left-out']") == []


@given(st.text(max_size=60), st.lists(st.integers(0, 59), unique=True, max_size=8), st.integers(0, 400))
def test_what_fits_shows_no_text_without_its_entities(text: str, places: list[int], room: int) -> None:
    spans = [Span(place, place + 1, "t") for place in sorted(places) if place < len(text)]
    cut, shown = cut_to_fit(text, spans, room)
    assert text.startswith(cut)
    assert [*shown] == [span for span in spans if span.end <= len(cut)]
    assert not [span for span in spans if span.start < len(cut) < span.end]
    assert (cut == text) == (len(text) + 60 * len(spans) <= room or not text)
    assert len(cut) <= room
