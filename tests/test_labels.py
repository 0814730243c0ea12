import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.labels import (
    bio_from_spans,
    common_name,
    example_tags,
    shared_tags,
    spans_from_bio,
    split_tag,
    tag_names,
    types_of,
)
from nerbert.records import Example, Span


@pytest.mark.parametrize("tag", ["", "B", "B-", "Q-PER", "b-per", "-PER", "O-x", "BPER"])
def test_bad_tags_are_refused(tag: str) -> None:
    with pytest.raises(InputError, match="must be O, B-TYPE or I-TYPE"):
        split_tag(tag)


@pytest.mark.parametrize("prefix", "SELUM")
def test_tags_of_other_schemes_say_what_to_do(prefix: str) -> None:
    wanted = f"tag '{prefix}-x': .*seems to be BIOES or BILOU: write S- and U- as B-, and E-, L- and M- as I-"
    with pytest.raises(InputError, match=wanted):
        split_tag(f"{prefix}-x")
    with pytest.raises(InputError, match=r"I-TYPE$"):
        split_tag(prefix)


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


@pytest.mark.parametrize("spans", [[(0, 2, "x"), (1, 3, "y")], [(2, 5, "x")], [(1, 1, "x")]])
def test_overlaps_and_strays_are_refused(spans: list[tuple[int, int, str]]) -> None:
    with pytest.raises(InputError, match="overlaps another or leaves"):
        bio_from_spans(4, spans)


def test_tag_names_are_sorted_and_start_with_o() -> None:
    assert tag_names(["y", "x", "y"]) == ["O", "B-x", "I-x", "B-y", "I-y"]


def test_entity_that_cuts_a_word_is_an_error() -> None:
    example = Example("abc def", ((0, 3), (4, 7)), (Span(1, 3, "x"),))
    with pytest.raises(InputError, match="cuts a word at character 1"):
        example_tags(example)


def test_example_tags_mend_a_lone_inside_tag() -> None:
    assert example_tags(example_of(["a", "b"], ["O", "I-x"])) == ["O", "B-x"]


def test_types_of_undoes_tag_names() -> None:
    assert types_of(tag_names(["work-of-art", "x", "x"])) == ["work-of-art", "x"]


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
        "O": "O", "B-person": "B-PER", "I-person": "I-PER", "B-organisation": "B-ORG", "I-organisation": "I-ORG",
        "B-location": "B-LOC", "I-location": "I-LOC", "B-misc": "B-MISC", "I-misc": "I-MISC",
    }  # fmt: skip
    assert shared_tags(tag_names(["ship"]), tag_names(["harbour"])) == {"O": "O"}
    assert shared_tags(["O", "B-x", "I-x"], ["O", "B-X"]) == {"O": "O", "B-x": "B-X"}, "a head without I-X"


def test_of_several_types_with_one_name_the_same_spelling_wins() -> None:
    source = tag_names(["ORG", "Organisation", "organization"])
    assert shared_tags(["B-organization"], source) == {"B-organization": "B-organization"}
    assert shared_tags(["B-organisation"], source) == {"B-organisation": "B-ORG"}
