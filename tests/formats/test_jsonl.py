import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.jsonl import json_object, object_line, read_jsonl, write_jsonl
from nerbert.formats.rows import example_of_fields
from nerbert.records import Example
from nerbert.words import split_words
from tests.formats.annotated import examples


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jsonl") / "x.jsonl"


def joined(example: Example) -> bool:
    """Whether two halves of one character stand side by side, which JSON takes for that character."""
    return bool(re.search("[\ud800-\udbff][\udc00-\udfff]", json.dumps([example.text, *(s.type for s in example.spans)],
                                                                   ensure_ascii=False)))  # fmt: skip


@given(st.lists(examples().filter(lambda example: not joined(example)), max_size=4))
def test_round_trip(place: Path, made: list[Example]) -> None:
    write_jsonl(place, made)
    assert list(read_jsonl(place)) == made
    assert len(place.read_bytes().split(b"\n")) == len(made) + 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_any_object_comes_back(fields: dict[str, Any]) -> None:
    line = object_line(fields)
    assert json_object(line.decode()) == fields
    assert line.endswith(b"\n")
    assert not set(line.decode()[:-1]) & set("\n\r\x1b\x7f\x85\x9b\u2028\u2029")


def test_words_may_be_madeas_places_as_strings_or_not_at_all() -> None:
    text, spans = "Ada, 10 km!", [{"start": 0, "end": 3, "label": "x"}]
    by_places = example_of_fields({"text": text, "words": [[0, 3], {"start": 5, "end": 10}], "spans": spans})
    assert (by_places.words, by_places.spans[0].type, by_places.spans[0].text) == (((0, 3), (5, 10)), "x", "Ada")
    assert example_of_fields({"text": text, "spans": spans}).words == split_words(text)
    assert example_of_fields({"tokens": ["Ada", "10 km"], "spans": spans}).words == ((0, 3), (4, 9))
    assert example_of_fields({"body": ["Ada"], "spans": []}, "body").text == "Ada"


def test_entities_are_put_in_order(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('\n{"text": "a b", "spans": [{"start": 2, "end": 3, "type": "y"}, '
                                '{"start": 0, "end": 1, "type": "x", "text": "a", "confidence": 1}]}\n')  # fmt: skip
    (found,) = read_jsonl(tmp_path / "x")
    assert [(span.type, span.confidence) for span in found.spans] == [("x", 1.0), ("y", 1.0)]


SPAN = {"start": 0, "end": 1, "type": "x"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"spans": []}, "no field 'text' (there are: spans)"),
        ({"text": "a"}, "field 'spans' holds None: must be a list"),
        ({"text": "a", "spans": {}}, "field 'spans' holds {}: must be a list"),
        ({"text": "a", "spans": ["x"]}, "entity 'x': must have start, end and type"),
        ({"text": "a", "spans": [{"start": 0, "end": 1}]}, "entity {'start': 0, 'end': 1}: must have start"),
        ({"text": "a", "spans": [SPAN | {"type": ""}]}, "must have start, end and type"),
        ({"text": "a", "spans": [SPAN | {"end": 2}]}, "entity [0, 2) of type 'x': lies outside the text of 1 char"),
        ({"text": "a", "spans": [SPAN | {"end": 0}]}, "entity [0, 0) of type 'x': lies outside"),
        ({"text": "a", "spans": [SPAN | {"start": -1}]}, "entity [-1, 1) of type 'x': lies outside"),
        ({"text": "a", "spans": [SPAN | {"start": 0.0}]}, "[0.0, 1): start and end must be whole numbers"),
        ({"text": "a", "spans": [SPAN | {"start": True}]}, "[True, 1): start and end must be whole numbers"),
        ({"text": "a", "spans": [SPAN | {"text": "b"}]}, "entity [0, 1) is 'a' in the text, not 'b'"),
        ({"text": "a", "spans": [SPAN | {"confidence": "1"}]}, "entity [0, 1): confidence '1' is no number"),
        ({"text": "ab", "spans": [SPAN, SPAN | {"end": 2}]}, "entities [0, 1) and [0, 2) overlap"),
        ({"text": "a", "words": [[0, 2]], "spans": []}, "field 'words': [0, 2) is no word of a text of 1 characters"),
        ({"text": "ab", "words": [[0, 2], [1, 2]], "spans": []}, "field 'words': [1, 2) is no word"),
        ({"text": "a", "words": 3, "spans": []}, "field 'words': 3 must be a pair"),
        ({"text": "a", "words": [[0, 1, 2]], "spans": []}, "field 'words': [0, 1, 2] must be a pair"),
        ({"text": "a", "words": [["0", 1]], "spans": []}, "['0', 1): start and end must be whole numbers"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    good = {"text": "a", "spans": []}
    (tmp_path / "x").write_text(f"{json.dumps(good)}\n\n{json.dumps(fields)}\n")
    found = read_jsonl(tmp_path / "x")
    assert next(found).text == "a"
    with pytest.raises(InputError) as caught:
        next(found)
    assert str(caught.value).startswith(f"{tmp_path / 'x'}:3: ")
    assert told in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: can't be read: No such file"):
        list(read_jsonl(tmp_path / "none"))


def test_too_deep_to_write() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="not JSON that can be written: too deep"):
        object_line({"x": deep})
    while deep:
        deep = deep.pop()
