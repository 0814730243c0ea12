"""The entities of a text show themselves, harmless whatever they hold, and go to other tools."""

import pickle
import re
import sys
from html.parser import HTMLParser

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import MissingExtra
from nerbert.records import Span
from nerbert.tagger.spans import Spans, counted_spans

TEXT = "The whaler Ingeborg left Bergen in May."
SPANS = [Span(11, 19, "vessel", "Ingeborg", 0.93456), Span(25, 31, "port", "Bergen", 0.5)]


class Page(HTMLParser):
    """What a browser would show: its text, its tags, and the entities with their labels."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.open = "", set[str](), list[str]()
        self.marked, self.titles = list[str](), list[str]()
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= {"style", "title"}
        self.tags.add(tag)
        self.open.append(tag)
        if tag == "mark":
            self.marked.append("")
            self.titles.append(dict(attrs)["title"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "bdi" not in self.open:
            self.text += data
        if "mark" in self.open:
            self.marked[-1] += data


def test_they_are_a_list() -> None:
    found = Spans(TEXT, SPANS)
    assert found == SPANS
    assert found[0] is SPANS[0]
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), again, again.text, again.offsets) == (Spans, SPANS, TEXT, "characters")


def test_a_notebook_shows_the_text_with_its_entities() -> None:
    page = Page(Spans(TEXT, SPANS)._repr_html_())
    assert page.marked == ["Ingeborg vessel", "Bergen port"]
    assert page.titles == ["vessel, confidence 0.93", "port, confidence 0.50"]
    assert page.text == "The whaler Ingeborg  left Bergen  in May."


def test_a_text_without_entities_says_so() -> None:
    assert Page(Spans(TEXT)._repr_html_()).text == f"{TEXT}no entity found"


def test_a_type_has_one_colour() -> None:
    def hue(text: str, type_: str) -> list[str]:
        return re.findall(r"hsla\((\d+)", Spans(text, [Span(0, 1, type_, text[0])])._repr_html_())

    assert hue("a", "vessel") == hue("bb", "vessel") != hue("a", "port")


@given(st.text(min_size=1), st.text(st.characters() | st.sampled_from("<>&\"'\n\x1b\ud800"), min_size=1))
def test_no_text_and_no_type_is_markup(text: str, type_: str) -> None:
    page = Spans(text, [Span(0, 1, type_, text[0])])._repr_html_()
    page.encode()
    assert Page(page).tags == {"div", "mark", "bdi"}
    assert re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page) is None


def test_control_characters_are_seen_but_lines_and_tabs_stay() -> None:
    assert Page(Spans("a\x1b[1mb\r\nc\td\r", [])._repr_html_()).text.startswith("a\\x1b[1mb\r\nc\td\\r")


def test_of_a_long_text_the_beginning_is_shown() -> None:
    text = "Bergen " * 200_000
    spans = [Span(start, start + 6, "port", "Bergen") for start in range(0, len(text), 7)]
    shown = Spans(text, spans)._repr_html_()
    assert len(shown) < 500_000
    assert Page(shown).text.endswith("1,393,000 more characters with 199,000 more entities are not shown")
    assert len(Page(shown).marked) == 1000
    cut = Page(Spans("x" * 49_998 + "Bergen!", [Span(49_998, 50_004, "port", "Bergen")])._repr_html_())
    assert cut.marked == []
    assert cut.text == "x" * 49_998 + "7 more characters with 1 more entities are not shown"


def test_they_go_to_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Spans(TEXT, SPANS).to_pandas()
    assert list(table) == ["start", "end", "text", "type", "confidence"]
    assert table.to_dict("records")[0] == {
        "start": 11, "end": 19, "text": "Ingeborg", "type": "vessel", "confidence": 0.93456,
    }  # fmt: skip
    empty = Spans(TEXT).to_pandas()
    assert list(empty.dtypes) == list(table.dtypes)
    assert len(pandas.concat([empty, table])) == 2
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"^pandas not installed: pip install pandas$"):
        Spans(TEXT).to_pandas()


def test_they_go_to_json() -> None:
    assert Spans(TEXT, SPANS).to_dicts()[0] == {
        "text": "Ingeborg", "type": "vessel", "start": 11, "end": 19, "confidence": 0.9346,
    }  # fmt: skip


def test_displacy_gets_what_its_documentation_asks_for() -> None:
    assert Spans(TEXT, SPANS).to_displacy() == {
        "text": TEXT, "ents": [{"start": 11, "end": 19, "label": "vessel"}, {"start": 25, "end": 31, "label": "port"}],
        "title": None,
    }  # fmt: skip


def test_utf16_places_are_characters_where_a_text_is_shown() -> None:
    text = "👩‍🚀 and 👩 Ada 🚀 met Bob"
    spans = [Span(place, place + 3, "person", name) for name in ("Ada", "Bob") if (place := text.index(name))]
    counted = Spans(text, counted_spans(text, spans, "utf-16"), "utf-16")
    assert counted != spans
    assert [(each["start"], each["end"]) for each in counted.to_displacy()["ents"]] == [
        (each.start, each.end) for each in spans
    ]
    assert Page(counted._repr_html_()).marked == ["Ada person", "Bob person"]
    assert list(counted.to_pandas()["start"]) == [each.start for each in counted]
