"""Entities of a text: shown, harmless whatever they hold; for other tools; in other units; whole graphemes."""

import itertools
import pickle
import re
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import MissingExtra
from nerbert.records import Span
from nerbert.tagger.pending import PendingText
from nerbert.tagger.spans import Graphemes, Spans, character_spans, counted_spans, trim_marks
from nerbert.words import split_words
from tests.raised import raises

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


def test_they_are_a_list_and_go_to_json_and_displacy() -> None:
    spans = Spans(TEXT, SPANS)
    assert spans == SPANS
    again = pickle.loads(pickle.dumps(spans))
    assert (type(again), again, again.text, again.offsets) == (Spans, SPANS, TEXT, "characters")
    assert spans.to_dicts()[0] == {"text": "Ingeborg", "type": "vessel", "start": 11, "end": 19, "confidence": 0.9346}
    ents = [{"start": 11, "end": 19, "label": "vessel"}, {"start": 25, "end": 31, "label": "port"}]
    assert spans.to_displacy() == {"text": TEXT, "ents": ents, "title": None}


def test_a_notebook_shows_the_text_with_its_entities() -> None:
    page = Page(Spans(TEXT, SPANS)._repr_html_())
    assert page.marked == ["Ingeborg vessel", "Bergen port"]
    assert page.titles == ["vessel, confidence 0.93", "port, confidence 0.50"]
    assert page.text == "The whaler Ingeborg  left Bergen  in May."
    assert Page(Spans(TEXT)._repr_html_()).text == f"{TEXT}no entity found"
    controls = Page(Spans("a\x1b[1mb\r\nc\td\r", [])._repr_html_()).text
    assert controls.startswith("a\\x1b[1mb\r\nc\td\\r"), "control characters are seen, but lines and tabs stay"


@given(st.text(min_size=1), st.text(st.characters() | st.sampled_from("<>&\"'\n\x1b\ud800"), min_size=1))
def test_no_text_and_no_type_is_markup(text: str, type_: str) -> None:
    page = Spans(text, [Span(0, 1, type_, text[0])])._repr_html_()
    page.encode()
    assert Page(page).tags == {"div", "mark", "bdi"}
    assert re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page) is None


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


@pytest.mark.extras
def test_they_go_to_pandas() -> None:
    import pandas

    table = Spans(TEXT, SPANS).to_pandas()
    assert list(table) == ["start", "end", "text", "type", "confidence"]
    first = {"start": 11, "end": 19, "text": "Ingeborg", "type": "vessel", "confidence": 0.93456}
    assert table.to_dict("records")[0] == first
    empty = Spans(TEXT).to_pandas()
    assert list(empty.dtypes) == list(table.dtypes)
    assert len(pandas.concat([empty, table])) == 2
    counted = Spans("👩 Ada", counted_spans("👩 Ada", [Span(2, 5, "x", "Ada")], "utf-16"), "utf-16")
    assert list(counted.to_pandas()["start"]) == [3]


def test_without_pandas_its_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with raises(MissingExtra, "pandas not installed: pip install pandas"):
        Spans(TEXT).to_pandas()


def test_utf16_places_are_characters_where_a_text_is_shown() -> None:
    text = "👩‍🚀 and 👩 Ada 🚀 met Bob"
    spans = [Span(place, place + 3, "person", name) for name in ("Ada", "Bob") if (place := text.index(name))]
    counted = Spans(text, counted_spans(text, spans, "utf-16"), "utf-16")
    assert counted != spans
    shown = [(each["start"], each["end"]) for each in counted.to_displacy()["ents"]]
    assert shown == [(each.start, each.end) for each in spans]
    assert Page(counted._repr_html_()).marked == ["Ada person", "Bob person"]


def unit(text: str, place: int, offsets: str) -> int:
    """The place in units of UTF-16 or UTF-8: lone surrogates are one character, and one unit of UTF-16."""
    encoding, size = {"utf-16": ("utf-16-le", 2), "bytes": ("utf-8", 1)}[offsets]
    return len(text[:place].encode(encoding, "surrogatepass")) // size


@pytest.mark.parametrize("offsets", ["utf-16", "bytes"])
@given(text=st.text(st.characters() | st.sampled_from("👩🎻𐍈é€\ud83d"), min_size=1), data=st.data())
def test_places_are_those_of_the_encoding(offsets: str, text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = [Span(a, b, "x", text[a:b], 0.5) for a, b in itertools.pairwise(ends)]
    assert character_spans(text, counted_spans(text, spans, offsets), offsets) == spans
    for span, found in zip(spans, counted_spans(text, spans, offsets), strict=True):
        assert (found.start, found.end) == (unit(text, span.start, offsets), unit(text, span.end, offsets))
        assert (found.text, found.type, found.confidence) == (span.text, "x", 0.5)


ATOMS = (
    "a",
    "Z",
    "7",
    ".",
    "-",
    "é",
    "e\u0301",
    "q\u0323\u0307",
    "ж",
    "и\u0306",
    "漢",
    "か\u3099",
    "ｶﾞ",
    "각",
    "\u1100\u1161\u11a8",
    "🇩🇪",
    "🇯🇵",
    "👨‍👩‍👧",
    "👩🏽‍🚀",
    "1️⃣",
    "❤️",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "🎻",
    "ก็",
    "„",
    "”",
    " ",
    "\u00a0",
    "\n",
    "\t",
)
"""Single graphemes that stay single beside one another."""
texts = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=12)


@given(texts, st.data())
def test_a_span_grows_to_the_graphemes_that_it_touches(atoms: list[str], data: st.DataObject) -> None:
    text = "".join(atoms)
    ends = [0, *itertools.accumulate(map(len, atoms))]
    graphemes = Graphemes(text)
    for _ in range(3):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        assert graphemes.grow(start, end) == (max(x for x in ends if x <= start), min(x for x in ends if x >= end))


@given(texts, st.data())
def test_entities_of_words_are_whole_graphemes_and_apart(atoms: list[str], data: st.DataObject) -> None:
    text = "".join(atoms)
    ends = {0, *itertools.accumulate(map(len, atoms))}
    opened = PendingText(text)
    words = [word for word in split_words(text) if data.draw(st.booleans())]
    for start, end in words:
        opened.add(start, end, "x", 0.5)
    for span in opened.spans:
        assert {span.start, span.end} <= ends
        assert text[span.start : span.end] == span.text
    assert all(a.end <= b.start for a, b in itertools.pairwise(opened.spans))
    covered = {place for span in opened.spans for place in range(span.start, span.end)}
    assert all(covered.issuperset(range(*word)) for word in words)


def test_a_mark_after_white_space_takes_no_space() -> None:
    assert Graphemes("a \u0301b").grow(2, 4) == (2, 4)
    assert Graphemes("\u0600 b").grow(0, 1) == (0, 1)


def test_nested_entities_stay_nested_and_others_apart() -> None:
    flag, other = "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"
    opened = PendingText(f"a {flag} b {other}")
    for start, end in ((0, 3), (2, 3), (3, 8), (5, 6), (6, 7), (7, 8), (8, 9)):
        opened.add(start, end, "x", 0.5)
    assert [(each.start, each.end) for each in opened.spans] == [(0, 4), (2, 4), (4, 9), (5, 6), (6, 7), (7, 9)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call ( <212 ) 555-0148>", "( 212 ) 555-0148"),
        ("Acme ( <Holdings ) Ltd> is late", "( Holdings ) Ltd"),
        ("<Rill & Co ( UK> ) today", "Rill & Co ( UK )"),
        ("the firm <( UK> ) today", "UK"),
        ("the firm ( <UK )> today", "UK"),
        ("<（ 日本> ）", "日本"),
        ("<Oslo (> 212 )", "Oslo"),
        ("Acme ( UK <) Ltd>", "Ltd"),
        ("see <( )> here", "( )"),
        ("see <(> here", ""),
        ("<Acme ( Holdings ) Ltd>", "Acme ( Holdings ) Ltd"),
        ("met <Charles Darwin)> on", "Charles Darwin)"),  # a word of its own isn't cut
        ("in <「 千 と> 千 」 了", "千 と"),
        ("<Acme ,> Oslo", "Acme"),
        ("Acme <, Oslo> ; Bergen", "Oslo"),
        ("<( Acme , Inc. ) ;> Oslo", "( Acme , Inc. )"),
        ("<City :> Leeds", "City"),
        ("在 <北 京 、> 上 海", "北 京"),
        ("see <, :> here", ""),
        ("at <Yahoo !> , or", "Yahoo !"),
        ("<C + +> , .", "C + +"),
        ("die <Zeitschrift » Der Spiegel «> von", "Zeitschrift » Der Spiegel «"),
        ("die <» Der Spiegel «> von", "» Der Spiegel «"),
        ("in <» Dagens Nyheter »> är", "» Dagens Nyheter »"),
        ("le <journal « Le Monde »> de", "journal « Le Monde »"),
        ("dans <« Le Monde> » de", "Le Monde"),
        ("der » <Spiegel «> von", "Spiegel"),
        ("« <Le Petit Prince , »> de", "Le Petit Prince"),
        ("see <( , Foo> bar", "Foo"),
    ],
)
def test_an_entity_has_both_brackets_or_neither_and_no_separator_at_its_edge(text: str, found: str) -> None:
    first, last = text[: text.index("<")].split(), text[: text.index(">")].split()
    words = text.replace("<", "").replace(">", "").split()
    start, end = trim_marks(words, len(first), len(last))
    assert " ".join(words[start:end]) == found
