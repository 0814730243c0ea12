from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.schemes import find_scheme
from nerbert.labels import spans_from_bio
from nerbert.records import Repair, Repairs
from tests.raised import raises

LETTERS = {"BIOES": tuple("BIES"), "BILOU": tuple("BILU"), "BMES": tuple("BMES")}
ENTITIES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from("xy")), min_size=1, max_size=6)


def written(entities: list[tuple[int, int, str]], name: str) -> tuple[list[str], list[tuple[int, int, str]]]:
    """Tags of entities (words before, words, type) in a scheme, as its definition has it; and the entities' places."""
    tags: list[str] = []
    spans, before = [], ""
    for number, (gap, length, type_) in enumerate(entities):
        tags += ["O"] * gap
        spans.append((len(tags), len(tags) + length, type_))
        after = entities[number + 1] if number + 1 < len(entities) else (1, 0, "")
        marks = "I" * length
        if name == "IOB2" or (name == "IOB1" and not gap and before == type_):
            marks = "B" + marks[1:]
        if name == "IOE2" or (name == "IOE1" and after[0] == 0 and after[2] == type_):
            marks = marks[:-1] + "E"
        if name in LETTERS:
            begin, inside, end, single = LETTERS[name]
            marks = single if length == 1 else begin + inside * (length - 2) + end
        tags += [f"{mark}-{type_}" for mark in marks]
        before = type_
    return [*tags, "O"], spans


def read(*sentences: list[str]) -> tuple[str, int, list[list[str]]]:
    lines = [[(line, tag) for line, tag in enumerate(tags, 1)] for tags in sentences]
    scheme = find_scheme(lines, "x")
    return scheme.name, scheme.repaired, [scheme.bio(tags) for tags in sentences]


@pytest.mark.parametrize("name", ["IOB1", "IOB2", "IOE1", "IOE2", "BIOES", "BILOU", "BMES"])
@settings(max_examples=25)
@given(entities=ENTITIES)
def test_each_scheme_gives_its_entities_back_and_breaks_nothing(
    name: str, entities: list[tuple[int, int, str]]
) -> None:
    tags, spans = written(entities, name)
    _, repaired, (found,) = read(tags)
    assert spans_from_bio(found) == spans
    assert repaired == 0
    assert not any(one == "O" and other.startswith("I-") for one, other in zip(["O", *found], found, strict=False))


@pytest.mark.extras
@settings(max_examples=100)
@given(st.lists(st.sampled_from(["O", *(f"{mark}-{type_}" for mark in "BIES" for type_ in "xy")]), max_size=8))
def test_broken_tags_are_read_as_seqeval_reads_them(tags: list[str]) -> None:
    from seqeval.metrics.sequence_labeling import get_entities

    _, _, (found,) = read(tags)
    assert spans_from_bio(found) == [(start, end + 1, type_) for type_, start, end in get_entities(tags)]


@pytest.mark.parametrize(
    ("tags", "name", "repaired", "first"),
    [
        ("O B-x I-x B-x B-y", "IOB2", 0, 0),
        ("I-x B-x I-x O I-y", "IOB1", 0, 1),
        ("O I-x O", "IO or IOB1", 0, 2),
        ("B-x O I-x", "mixed", 1, 3),
        ("B-x E-x O S-y", "BIOES", 0, 0),
        ("B-x O S-y", "BIOES", 1, 1),
        ("S-x O E-y O", "BIOES", 1, 3),
        ("B-x I-y E-y", "BIOES", 2, 1),
        ("B-x I-x S-x", "BIOES", 1, 2),
        ("B-x L-x U-y", "BILOU", 0, 0),
        ("B-x M-x E-x S-x", "BMES", 0, 0),
        ("I-x E-x I-x O", "IOE", 0, 1),
        ("B-x L-x S-y", "mixed", 0, 0),
        ("O O person person O", "IO", 0, 0),
        ("O", "no entity", 0, 0),
    ],
)
def test_names_and_what_is_broken(tags: str, name: str, repaired: int, first: int) -> None:
    scheme = find_scheme([list(enumerate(tags.split(), 1))])
    assert (scheme.name, scheme.repaired, scheme.first_broken) == (name, repaired, first)


def test_the_end_of_a_sentence_ends_an_entity() -> None:
    scheme = find_scheme([[(1, "S-x"), (2, "B-x")], [(4, "I-x"), (5, "E-x")]])
    assert (scheme.repaired, scheme.first_broken) == (2, 2)


def test_types_without_prefix_are_entities_of_adjacent_words() -> None:
    tags = ["O", "art", "art", "person", "O", "O"]
    assert read(tags)[2] == [["O", "B-art", "I-art", "B-person", "O", "O"]]


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ("B_PER I_PER O B_LOC", "IOB2"),
        ("PER-B PER-I O LOC-B", "IOB2"),
        ("B:PER I:PER O B:LOC", "IOB2"),
        ("B/PER I/PER O B/LOC", "IOB2"),
        ("B.PER I.PER O B.LOC", "IOB2"),
        ("PER_B PER_E O LOC_S", "BIOES"),
        ("I:PER I:PER O B:LOC", "mixed"),
        ("B-PER I-PER I-O B-LOC", "IOB2"),
    ],
)
def test_other_spellings_of_tags_are_read_where_all_agree(tags: str, name: str) -> None:
    scheme, repairs = find_scheme([list(enumerate(tags.split(), 1))]), Repairs()
    assert scheme.bio(tags.split()) == ["B-PER", "I-PER", "O", "B-LOC"]
    assert scheme.name == name
    scheme.count_repairs(repairs)
    assert repairs[Repair.SPELLING] == (1 if "I-O" in tags else 3)


def test_roles_alone_have_a_blank_type() -> None:
    assert read(["O", "B", "I"], ["S", "O"])[2] == [["O", "B- ", "I- "], ["B- ", "O"]]


@pytest.mark.parametrize(
    ("tags", "line", "words"),
    [
        (["O", "B-x", "person", "O"], 3, "tag 'person': must be O, B-TYPE or I-TYPE"),
        (["O", "NN", "NN"], 2, "O is the most frequent"),
        (["NN"], 1, "tag 'NN'"),
        (["O", "Q-x"], 2, "tag 'Q-x': must be O, B-TYPE or I-TYPE"),
        (["O", "O", "person", "B"], 3, "tag 'person': must be"),
        (["O", "O", "person", "B_x", "I_x"], 3, "tag 'person': must be"),
        (["O", "B-x", "B_x"], 3, "tag 'B_x': must be"),
        (["O", "B-x|I-y"], 2, "tag 'B-x|I-y': names two entities"),
        (["O", ""], 2, "tag ''"),
        (["O", "b-x"], 2, "tag 'b-x'"),
        ([3], 1, "tag 3: must be"),
        (["O"] * 300 + [f"t{number}" for number in range(300)], 301, "200 at most"),
    ],
)
def test_messages(tags: list[Any], line: int, words: str) -> None:
    with raises(InputError, words, path="x", line=line):
        read(tags)
