"""Redaction of a text: nothing marked survives, the rest stays, and it can be undone."""

from collections.abc import Callable

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.records import Span
from nerbert.tagger import redact as module
from nerbert.tagger.redact import FoundNames, Redacted, fold_text, hash_names, mask_text, number_names, redact
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
    ],
)
def test_which_entities_and_repeats_are_redacted(text: str, spans: list[Span], names: list[str], redacted: str) -> None:
    assert redact(text, spans, FoundNames((name, "p") for name in names), number_names()).text == redacted


def test_words_in_ascii_are_those_of_any_text() -> None:
    text = "".join(f"{chr(code)}a_b{chr(code)}1 " for code in range(128))
    assert fold_text(f"{text}é") == f"{fold_text(text)} é"


def test_the_same_text_has_the_same_number_and_hash() -> None:
    new, name = number_names(), hash_names(KEY)
    assert [new("p", each) for each in ("Ada", "Bob", "ADA")] == ["[p 1]", "[p 2]", "[p 1]"]
    assert new("q", "Ada") == "[q 1]"
    assert name("p", "Ada") == name("p", "ADA") == hash_names(KEY)("p", "Ada")
    assert name("p", "Ada") != name("p", "Bob")
    assert name("p", "Ada") != hash_names(KEY + b"!")("p", "Ada")
    assert regex.fullmatch(r"\[p [0-9a-f]{12}\]", name("p", "Ada"))


def test_values_of_json_are_redacted_throughout() -> None:
    value = {"Ada": ["ada", {"x": "by Ada"}], "n": 42, "f": 1.5, "t": True, "z": None}
    names = FoundNames([("Ada", "p"), ("42", "n")])
    assert module.redact_value(value, names, number_names()) == {
        "[p 1]": ["[p 1]", {"x": "by [p 1]"}], "n": "[n 1]", "f": 1.5, "t": True, "z": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: hash_names(KEY[1:]), "the key has 15 bytes; it needs at least 16 (openssl rand -hex 32)"),
        (lambda: module.restore("x[p 1]", [(0, "[p 1]", "Ada")]), "character 0 should begin '[p 1]'"),
        (lambda: module.restore("x[p 1]", [(2, "[p 1]", "Ada")]), "character 2 should begin '[p 1]'"),
    ],
)
def test_messages(act: Callable[[], object], words: str) -> None:
    with raises(InputError, words):
        act()
