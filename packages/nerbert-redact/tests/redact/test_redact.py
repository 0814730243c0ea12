"""Redaction of a text: nothing marked survives, the rest stays, and it can be undone."""

from collections.abc import Callable

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.records import Span
from nerbert_redact import redact as module
from nerbert_redact.redact import FoundNames, Redacted, fold_text, hash_names, mask_text, number_names, redact
from tests.raised import raises

KEY = b"sixteen bytes ok"
TEXTS = st.text(st.sampled_from(" \nabAB1.,_ßéİ北京"), max_size=30)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text with entities anywhere: nested, overlapping, repeated, cutting words."""
    text = draw(TEXTS)
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.sampled_from(["person", "place"]))
    places = [(min(a, b), max(a, b), type_) for a, b, type_ in draw(st.lists(ends, max_size=4))]
    return text, [Span(start, end, type_) for start, end, type_ in places if start < end]


def names_of(text: str, spans: list[Span]) -> FoundNames:
    return FoundNames((text[each.start : each.end], each.type) for each in spans)


def outside(done: Redacted) -> list[str]:
    """What is left of the text, in pieces."""
    pieces, last = [], 0
    for each in done.replaced:
        assert done.text[each.start : each.start + len(each.pseudonym)] == each.pseudonym
        pieces.append(done.text[last : each.start])
        last = each.start + len(each.pseudonym)
    return [*pieces, done.text[last:]]


@given(texts_with_spans(), st.sampled_from(["replace", "mask", "hash"]))
def test_nothing_marked_survives_and_all_can_be_restored(case: tuple[str, list[Span]], how: str) -> None:
    text, spans = case
    pseudonym = {"replace": number_names(), "mask": mask_text, "hash": hash_names(KEY)}[how]
    done = redact(text, spans, names_of(text, spans), pseudonym)
    left = [f" {fold_text(piece)} " for piece in outside(done)]
    for span in spans:
        name = fold_text(text[span.start : span.end])
        if any(map(str.isalnum, name)):
            assert not [piece for piece in left if f" {name} " in piece]
    assert module.restore(done.text, [each[:3] for each in done.replaced]) == text


@given(texts_with_spans())
def test_what_isnt_an_entity_stays_and_a_mask_keeps_length_and_white_space(case: tuple[str, list[Span]]) -> None:
    text, spans = case
    marked = {place for each in spans for place in range(each.start, each.end)}
    left = "".join(outside(redact(text, spans, FoundNames(), number_names())))
    assert left == "".join(char for place, char in enumerate(text) if place not in marked)
    done = redact(text, spans, FoundNames(), mask_text).text
    assert len(done) == len(text)
    for each in spans:
        for old, new in zip(text[each.start : each.end], done[each.start : each.end], strict=True):
            assert new == (old if old.isspace() else "█")


@pytest.mark.parametrize(
    ("text", "spans", "names", "redacted"),
    [
        # overlapping entities are one, with the type of the longest
        ("New York Times", [Span(0, 8, "place"), Span(4, 14, "paper")], [], "[paper 1]"),
        ("New York Times", [Span(0, 14, "paper"), Span(0, 8, "place")], [], "[paper 1]"),
        ("New York Times", [Span(0, 3, "a"), Span(3, 8, "b")], [], "[a 1][b 1] Times"),
        # repeats are whole words in any case
        ("Ada met ADA and ada.", [Span(0, 3, "p")], ["Ada"], "[p 1] met [p 1] and [p 1]."),
        ("Ada, Adam, Nevada, Ada's ada_x", [Span(0, 3, "p")], ["Ada"], "[p 1], Adam, Nevada, [p 1]'s [p 1]_x"),
        ("Ada Lovelace", [Span(0, 3, "p")], ["Ada"], "[p 1] Lovelace"),
        # they may be spaced otherwise, and stand in scripts without spaces
        ("J.R.  Ewing", [], ["J. R. Ewing"], "[p 1]"),
        ("我在北京。", [], ["北京"], "我在[p 1]。"),
        ("Zoe\u0308", [], ["Zoë"], "[p 1]"),
        ("a. b.", [], ["."], "a. b."),
        # with invisible characters, other apostrophes, hyphens and cases; in addresses and names of files
        ("An\u00adna\u200b Berg, Anna\u2060 BERG\ufe0f", [], ["Anna Berg"], "[p 1], [p 1]\ufe0f"),
        ("Mary‑Ann O’Hara, MARY–ANN OʼHARA", [], ["Mary-Ann O'Hara"], "[p 1], [p 1]"),
        ("DİLARA, dılara, ΓΙΩΡΓΟΣ", [], ["Dilara", "Γιώργος"], "[p 1], [p 1], [p 2]"),
        (
            "anna.berg@x.org Anna_Berg.pdf anna-berg J R Ewing",
            [],
            ["Anna Berg", "J. R. Ewing"],
            "[p 1]@x.org [p 1].pdf [p 1] [p 2]",
        ),
        # but not signs that tell names apart, nor those that end a sentence
        (
            "I saw Anna. Berg left. 1.5 or 1-5, C++ or C#",
            [],
            ["Anna Berg", "1-5", "C++"],
            "I saw Anna. Berg left. 1.5 or [p 1], [p 2] or C#",
        ),
    ],
)
def test_which_entities_and_repeats_are_redacted(text: str, spans: list[Span], names: list[str], redacted: str) -> None:
    assert redact(text, spans, FoundNames((name, "p") for name in names), number_names()).text == redacted


@pytest.mark.parametrize(
    ("before", "after", "cut"),
    [
        ("met Anna", "Berg. Anna", ("[p 1]", "[p 1]")),
        ("x" * 300 + " AN\u00adNA \r", "  berg", ("[p 1]", "[p 1]")),
        ("Anna Berg", "left", ()),
        ("Johanna", "Berg", ()),
        ("Anna", "", ()),
    ],
)
def test_a_name_that_a_line_break_cuts_is_found_on_both_lines(before: str, after: str, cut: tuple[str, ...]) -> None:
    names = FoundNames([("Anna Berg", "p")])
    parts = names.find_cut(before, after)
    for new, wanted in ((number_names(), cut), (mask_text, ("████", "████") if cut and "\u00ad" not in before else ())):
        done = [redact(*row[:1], (), FoundNames(), new, row[1]) for row in zip((before, after), parts, strict=True)]
        if wanted or not cut:
            assert tuple(each.pseudonym for row in done for each in row.replaced) == wanted
        for row, text in zip(done, (before, after), strict=True):
            assert module.restore(row.text, [each[:3] for each in row.replaced]) == text


def test_a_placeholder_of_the_text_is_not_used() -> None:
    taken = module.find_placeholders("[p 1] [see [p  q 2]\n[p\n4] [p 3")
    new = number_names(taken)
    assert [new(*each, "") for each in (("p", "Ada"), ("p  q", "Ada"), ("p", "Bob"))] == ["[p 2]", "[p q 1]", "[p 3]"]
    assert taken >= {"[p 1]"}


def test_words_in_ascii_are_those_of_any_text() -> None:
    text = "".join(f"{chr(code)}a_b{chr(code)}1 " for code in range(128))
    assert fold_text(f"{text}é") == f"{fold_text(text)} é"


def test_the_same_text_has_the_same_number_and_hash() -> None:
    new, name = number_names(), hash_names(KEY)
    assert [new("p", each, "") for each in ("Ada", "Bob", "ADA")] == ["[p 1]", "[p 2]", "[p 1]"]
    assert new("q", "Ada", "") == "[q 1]"
    assert name("p", "Ada", "") == name("p", "ADA", "") == hash_names(KEY)("p", "Ada", "")
    assert name("p", "Ada", "") != name("p", "Bob", "")
    assert name("p", "Ada", "") != hash_names(KEY + b"!")("p", "Ada", "")
    assert regex.fullmatch(r"\[p [0-9a-f]{12}\]", name("p", "Ada", ""))


def test_values_of_json_are_redacted_throughout() -> None:
    value = {"Ada": ["ada", {"x": "by Ada"}], "n": 42, "f": 1.5, "t": True, "z": None}
    names = FoundNames([("Ada", "p"), ("42", "n")])
    assert module.redact_value(value, names, number_names()) == {
        "[p 1]": ["[p 1]", {"x": "by [p 1]"}],
        "n": "[n 1]",
        "f": 1.5,
        "t": True,
        "z": None,
    }


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: module.restore("x[p 1]", [(0, "[p 1]", "Ada")]), "character 0 should begin '[p 1]'"),
        (lambda: module.restore("x[p 1]", [(2, "[p 1]", "Ada")]), "character 2 should begin '[p 1]'"),
    ],
)
def test_messages(act: Callable[[], object], words: str) -> None:
    with raises(InputError, words):
        act()
