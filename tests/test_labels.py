from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.labels import (
    bio_from_spans,
    check_tags,
    common_name,
    example_tags,
    learnt_words,
    sentence_example,
    shared_tags,
    spans_from_bio,
    split_tag,
    tag_names,
    types_of,
    unknown_words,
)
from nerbert.records import Example, Mention, Sentence, Span
from tests.raised import raises

FORM = "must be O, B-TYPE or I-TYPE"
SCHEMES = "the file seems to be BIOES or BILOU: write S- and U- as B-, and E-, L- and M- as I-, in all of it"
OVERLAPS = "overlaps another or leaves the sentence of 4 words"
CUT = Example("abc def", ((0, 3), (4, 7)), (Span(1, 3, "x"),))


@pytest.mark.parametrize(
    ("act", "value", "message"),
    [
        *((split_tag, tag, f"tag '{tag}': {FORM}") for tag in ("", "B-", "Q-PER", "b-per", "-PER", "O-x", *"BSELUM")),
        *((split_tag, f"{prefix}-x", f"tag '{prefix}-x': {FORM}; {SCHEMES}") for prefix in "SELUM"),
        (split_tag, 7, f"tag 7: {FORM}, as a str"),
        (check_tags, ["B-x", "I-x"], "its labels lack O"),
        (check_tags, ["O", "x"], f"tag 'x': {FORM}"),
        (partial(bio_from_spans, 4), [(0, 2, "x"), (1, 3, "y")], f"entity (1, 3, 'y') {OVERLAPS}"),
        (partial(bio_from_spans, 4), [(2, 5, "x")], f"entity (2, 5, 'x') {OVERLAPS}"),
        (partial(bio_from_spans, 4), [(1, 1, "x")], f"entity (1, 1, 'x') {OVERLAPS}"),
        (example_tags, CUT, "an entity of 'abc def' cuts a word at character 1"),
    ],
)
def test_messages(act: Callable[[Any], object], value: Any, message: str) -> None:
    with raises(InputError) as caught:
        act(value)
    assert str(caught.value) == message


def test_tags_of_types_words_and_heads() -> None:
    """A tag is split at its first dash."""
    tags = ["O", "B-x", "I-x-y"]
    assert [split_tag(tag) for tag in tags] == [("O", ""), ("B", "x"), ("I", "x-y")]
    assert tag_names(["y", "x", "y"]) == ["O", "B-x", "I-x", "B-y", "I-y"]
    assert types_of(tag_names(["work-of-art", "x", "x"])) == ["work-of-art", "x"]
    assert example_tags(example_of(["a", "b"], ["O", "I-x"])) == ["O", "B-x"], "a lone inside tag is mended"
    check_tags(["B-x", "B-x", "O"])


def test_a_card_says_by_which_words_types_were_learnt() -> None:
    card = {"words_of_types": {"per": "person", "gpe": ("country", "city")}}
    assert learnt_words(card) == {"per": ["person"], "gpe": ["country", "city"]}
    assert learnt_words({}) == learnt_words({"words_of_types": None}) == {}


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["B-x", "I-x", "O", "B-x"], [(0, 2, "x"), (3, 4, "x")]),
        (["I-x", "I-x"], [(0, 2, "x")]),
        (["B-x", "I-y"], [(0, 1, "x"), (1, 2, "y")]),
        (["B-x", "B-x"], [(0, 1, "x"), (1, 2, "x")]),
        (["B-work-of-art", "I-work-of-art"], [(0, 2, "work-of-art")]),
        ([], []),
    ],
)
def test_decoding_follows_the_conll_script(tags: list[str], spans: list[tuple[int, int, str]]) -> None:
    assert spans_from_bio(tags) == spans


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from("xyz"))))
def test_round_trip(gaps: list[tuple[int, int, str]]) -> None:
    spans, place = [], 0
    for gap, length, type_ in gaps:
        spans.append((place + gap, place + gap + length, type_))
        place += gap + length
    assert spans_from_bio(bio_from_spans(place + 1, spans)) == spans


def test_a_sentence_of_the_corpus_is_an_example_with_some_of_its_entities() -> None:
    mentions = (Mention(0, 3, "t", "r", category="City"), Mention(4, 7, "t", "r"))
    words = ((0, 3), (4, 7), (8, 11))
    sentence = Sentence("w", 1, 2, "Page", 50, "abc def ghi", words, mentions, unknown=((8, 11, "list"),))
    assert sentence_example(sentence) == Example(
        "abc def ghi", words, (Span(0, 3, "City", "abc"), Span(4, 7, "ENTITY", "def")), unknown=((8, 11),), partial=True
    )


def test_words_that_reach_into_an_unknown_stretch() -> None:
    words = ((0, 2), (3, 5), (6, 8), (9, 11))
    assert unknown_words(Example("ab cd ef gh", words, unknown=((2, 4), (8, 9)))) == [1]
    assert unknown_words(Example("ab cd ef gh", words, unknown=((4, 7), (9, 10)))) == [1, 2, 3]


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["PER", "Person", "person", "per"], "person"),
        (["ORG", "Organisation", "organization", "organisation"], "organisation"),
        (["LOC", "Location", "location"], "location"),
        (["MISC", "misc", "Miscellaneous"], "misc"),
        (["SONG", "song"], "song"),
        (["cell_type", "Cell_Type"], "cell_type"),
    ],
)
def test_data_sets_have_names_in_common(names: list[str], common: str) -> None:
    assert {common_name(name) for name in names} == {common}


def test_tags_are_shared_by_the_names_of_their_types() -> None:
    target = tag_names(["person", "misc", "politician", "organisation", "location"])
    assert shared_tags(target, tag_names(["PER", "ORG", "LOC", "MISC"])) == {
        "O": "O",
        "B-person": "B-PER",
        "I-person": "I-PER",
        "B-organisation": "B-ORG",
        "I-organisation": "I-ORG",
        "B-location": "B-LOC",
        "I-location": "I-LOC",
        "B-misc": "B-MISC",
        "I-misc": "I-MISC",
    }
    assert shared_tags(tag_names(["ship"]), tag_names(["harbour"])) == {"O": "O"}
    assert shared_tags(["O", "B-x", "I-x"], ["O", "B-X"]) == {"O": "O", "B-x": "B-X"}, "a head without I-X"


def test_of_several_types_with_one_name_the_same_spelling_wins() -> None:
    source = tag_names(["ORG", "Organisation", "organization"])
    assert shared_tags(["B-organization"], source) == {"B-organization": "B-organization"}
    assert shared_tags(["B-organisation"], source) == {"B-organisation": "B-ORG"}


def test_sentence_id() -> None:
    sentence = Sentence("enwiki", 12, 345, "Title", 67, "Text.", ((0, 4), (4, 5)), ())
    assert sentence.id == "enwiki:12:345:67"
