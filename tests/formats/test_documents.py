"""From what files say to what models learn: units, overlaps, words, sentences."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.documents import Reading, Units, prepare_documents, repairs_line, sentences_of
from nerbert.labels import example_tags
from nerbert.records import Document, Example, Repair, Repairs, Span
from tests.raised import raises

Entity = tuple[int, int, str]


def read(documents: Sequence[Document], repairs: Repairs | None = None, **how: Any) -> list[Document]:
    counts = Repairs() if repairs is None else repairs
    return list(prepare_documents("a.json", lambda _: documents, Reading(**how), counts))


def entities(document: Document | Example) -> list[tuple[str, str]]:
    assert all(document.text[span.start : span.end] == span.text for span in document.spans)
    return [(span.text, span.type) for span in document.spans]


def document(text: str, *spans: Entity, surface: bool = False, words: bool = False) -> Document:
    found = tuple(Span(*each, text[each[0] : each[1]] if surface else "") for each in spans)
    return Document(text, found, tuple((n, n + 1) for n in range(len(text))) if words else None, line=3)


def counted_in(unit: str, one: Document) -> Document:
    """The document with offsets in another unit."""

    def counted(place: int) -> int:
        before = one.text[:place]
        before = before.replace("\r\n", "\n") if unit.endswith("-lf") else before
        if unit == "graphemes":
            return len(regex.findall(r"\X", before))
        return len(before.encode() if "bytes" in unit else before.encode("utf-16-le")[::2] if "16" in unit else before)

    return Document(
        one.text, tuple(Span(counted(each.start), counted(each.end), each.type, each.text) for each in one.spans)
    )


@pytest.mark.parametrize("unit", get_args(Units)[1:])
@pytest.mark.parametrize("surface", [True, False])
def test_the_unit_of_offsets_is_found(unit: str, surface: bool) -> None:
    plain = document("Ada met Bob.", (0, 3, "x"), (8, 11, "x"), surface=surface)
    text = "\U0001f6a2 Cafe\u0301: Zoë met Ada\r\nin Genève \U0001f1f3\U0001f1f4 with\r\nBob."
    one = document(text, (9, 12, "x"), (17, 20, "x"), (41, 44, "x"), surface=surface)
    repairs = Repairs()
    found = read([plain, counted_in(unit, one)], repairs)
    assert [entities(each) for each in found] == [
        [("Ada", "x"), ("Bob", "x")],
        [("Zoë", "x"), ("Ada", "x"), ("Bob", "x")],
    ]
    assert bool(repairs[Repair.UNIT]) == (unit != "characters")


@given(st.text(st.sampled_from("aé\U0001f6a2 \n\r"), max_size=30), st.sampled_from(get_args(Units)[2:]), st.data())
@settings(max_examples=60, deadline=None)
def test_a_named_unit_is_converted_exactly(text: str, unit: Units, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [(a, b, "x") for a, b in zip(cuts[::2], cuts[1::2], strict=False) if text[a:b] == text[a:b].strip() != ""]
    one = document(text, *spans, surface=True)
    assert read([counted_in(unit, one)], units=unit)[0].spans == one.spans


@pytest.mark.parametrize(
    ("text", "spans", "found"),
    [
        ("Seen.\r\nBy Dr Mira Holt.\r\nAt Kestrel Labs.", [(12, 21), (26, 38)], ["Mira Holt", "Kestrel Labs"]),
        ("\U0001f6a2 One.\r\nAnna Berg left.\r\nOslo waits.", [(7, 16), (23, 27)], ["Anna Berg", "Oslo"]),
        ("\U0001f6a2 One.\r\nAnna Berg left.\r\nOslo waits.", [(8, 17), (24, 28)], ["Anna Berg", "Oslo"]),
        ("One.\r\nAnna Berg left.\r\nOslo waits.", [(6, 15), (23, 27)], ["Anna Berg", "Oslo"]),
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 We met Anna Berg in Oslo.",
            [(9, 18), (22, 26)],
            ["Anna Berg", "Oslo"],
        ),
        ("मीरा होल्ट ओस्लो में रहती है।", [(0, 5), (6, 8)], ["मीरा होल्ट", "ओस्लो"]),
        ("\U0001f1f3\U0001f1f4\U0001f1f8\U0001f1ea Anna Berg left Oslo.", [(3, 12), (18, 22)], ["Anna Berg", "Oslo"]),
        (
            "Zoe\u0308 A\u030aberg met Ida Holm in Malmo\u0308.",
            [(0, 9), (14, 22), (26, 31)],
            ["Zoe\u0308 A\u030aberg", "Ida Holm", "Malmo\u0308"],
        ),
        ("Gastão: die Nordberliner Stadtrat.", [(12, 24)], ["Nordberliner"]),
    ],
)
def test_without_texts_words_tell_the_unit(text: str, spans: list[tuple[int, int]], found: list[str]) -> None:
    one = document(text, *((start, end, "x") for start, end in spans))
    assert [text for text, _ in entities(read([one])[0])] == found


def test_offsets_that_fit_no_words_are_an_error() -> None:
    with raises(InputError, "most entities neither begin nor end with words", path="a.json", line=None):
        read([document("Café: Anna Berg left Oslo.", (8, 14, "x"), (22, 23, "x"))])


@pytest.mark.parametrize(
    "types",
    [("B-PER", "I-PER", "B-LOC", "B-LOC"), ("B_PER", "E_PER", "S_LOC", "S_LOC"), ("PER-I", "PER-I", "LOC-I", "LOC-I")],
)
def test_spans_whose_types_are_tags_are_merged(types: tuple[str, ...]) -> None:
    places, repairs = ((0, 4), (5, 9), (15, 19), (25, 31)), Repairs()
    one = document(
        "Anna Berg left Oslo, not Bergen.", *((*place, type_) for place, type_ in zip(places, types, strict=True))
    )
    assert entities(read([one], repairs, tag_types="merge")[0]) == [
        ("Anna Berg", "PER"),
        ("Oslo", "LOC"),
        ("Bergen", "LOC"),
    ]
    assert repairs[Repair.MERGED] == 1


def test_two_units_that_fit_alike_are_an_error() -> None:
    told = "offsets fit as well if they count characters as if they count utf-16; choose one (units, --units)"
    with raises(InputError, told, path="a.json", line=None):
        read([document("\U0001f6a2\U0001f6a2 東東東東", (5, 6, "x"))])
    one = document("\U0001f6a2 東 京 東 京", (4, 5, "x"))
    assert entities(read([one])[0]) == [("京", "x")]
    assert entities(read([one], units="utf-16")[0]) == []


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(0, 99, "x")], "entity 0–99 of type 'x': the text has 9 characters"),
        ([(0, 3, "x", "Bob")], "entity 0–3 of type 'x': the text has 'Ada' there, not 'Bob'"),
        ([(0, 3, " ")], "its type ' ' is empty"),
        ([(0, 3, "a\tb")], "its type 'a\\tb' holds control characters"),
        ([(0, 3, "a\x1b[2J")], "holds control characters"),
        ([(0, 9, "x"), (4, 9, "y")], "entities 'Ada slept' (x) and 'slept' (y) overlap; choose which to keep"),
    ],
)
def test_messages(spans: list[tuple[int, int, str]], words: str) -> None:
    with raises(InputError, words, path="a.json", line=3):
        read([Document("Ada slept", tuple(Span(*span) for span in spans), line=3)])


def test_white_space_in_a_surface_text_may_be_another() -> None:
    one = Document("Ada\nLovelace slept", (Span(0, 12, "x", "Ada Lovelace"),))
    assert entities(read([one])[0]) == [("Ada\nLovelace", "x")]


def test_white_space_and_repeats_are_put_right_and_counted() -> None:
    repairs = Repairs()
    one = document("Ada  met Bob ", (0, 4, "x"), (3, 5, "y"), (9, 13, " x "), (9, 12, "x"))
    assert entities(read([one], repairs)[0]) == [("Ada", "x"), ("Bob", "x")]
    assert repairs == {Repair.TRIMMED: 2, Repair.EMPTY: 1, Repair.REPEATED: 1, Repair.UNIT: 0}
    assert "entities with white space around them, trimmed: 2; entities without a word, left out: 1" in repairs_line(
        repairs
    )


def test_every_repair_has_words() -> None:
    assert repairs_line(Repairs(dict.fromkeys(Repair, 1))).count(";") == len(Repair) - 1


@pytest.mark.parametrize(
    ("overlaps", "left"),
    [("longest", [("New York University", "org"), ("Bob", "x")]), ("first", [("York", "name"), ("Bob", "x")])],
)
def test_of_overlapping_entities_one_is_kept(overlaps: str, left: list[tuple[str, str]]) -> None:
    one = document("New York University hired Bob.", (4, 8, "name"), (0, 8, "city"), (0, 19, "org"), (26, 29, "x"))
    repairs = Repairs()
    assert entities(read([one], repairs, overlaps=overlaps)[0]) == left
    assert repairs[Repair.OVERLAP] == 2


def test_entities_grow_to_words_or_are_an_error() -> None:
    text, repairs = "The Berliners met in Oslo-West.", Repairs()
    (one,) = read([document(text, (4, 10, "place"), (21, 25, "place"))])
    (found,) = sentences_of(one, Reading(), repairs)
    assert entities(found) == [("Berliners", "place"), ("Oslo", "place")]
    assert repairs[Repair.GROWN] == 1
    with raises(InputError, "entity 'Berlin' (place) cuts a word of 'Berliners'"):
        sentences_of(one, Reading(cut_words="error"))


def test_entities_that_meet_when_they_grow_overlap() -> None:
    (one,) = read([document("Bergenhus", (0, 6, "x"), (6, 9, "y"))])
    with raises(InputError, "overlap"):
        sentences_of(one, Reading())
    (found,) = sentences_of(one, Reading(overlaps="first"))
    assert entities(found) == [("Bergenhus", "x")]


def test_texts_are_cut_into_sentences_and_never_inside_an_entity() -> None:
    text = "Ada slept. She met Bob\nSmith in Oslo. \n\n Then St. Mary St. John sang!\n"
    one = document(text, (0, 3, "x"), (19, 28, "x"), (46, 57, "x"))
    found = sentences_of(read([one])[0])
    assert [each.text for each in found] == [
        "Ada slept.",
        "She met Bob\nSmith in Oslo.",
        "Then St. Mary St. John sang!",
    ]
    assert [entities(each) for each in found] == [[("Ada", "x")], [("Bob\nSmith", "x")], [("St. Mary St", "x")]]
    assert all(example_tags(each) for each in found)


def test_no_sentence_ends_inside_a_word() -> None:
    found = sentences_of(document("東。\u0301京。"))
    assert [each.tokens for each in found] == [("東", "。\u0301", "京", "。")]


def test_a_document_that_has_words_stays_whole() -> None:
    (found,) = sentences_of(document("A. B. C.", (0, 2, "x"), surface=True, words=True))
    assert (found.text, len(found.words), entities(found)) == ("A. B. C.", 8, [("A.", "x")])


@given(st.text(st.sampled_from("Ab. \n東!。é\u0301"), max_size=60), st.data())
@settings(max_examples=80, deadline=None)
def test_no_entity_and_no_word_is_lost(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = [(a, b, "x") for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    repairs = Repairs()
    (one,) = read([document(text, *spans)], repairs, overlaps="longest", units="characters")
    found = sentences_of(one, Reading(overlaps="longest"), repairs)
    lost = repairs[Repair.EMPTY] + repairs[Repair.OVERLAP] + repairs[Repair.REPEATED]
    assert sum(len(each.spans) for each in found) == len(spans) - lost
    assert "".join("".join(each.tokens) for each in found) == "".join(text.split())
    assert all(example_tags(each) for each in found)
