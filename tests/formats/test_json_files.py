"""JSON as tools export it: lines, arrays, one object; spans under many names; faults with their place."""

import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.json_files import first_value, json_span, values_of_file
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Document, Repairs, Span
from tests.raised import raises

ROWS: list[dict[str, Any]] = [{"a": 1}, {"b": "[{,\u2028"}, {}, {"c": {"d": [1, 2]}}]


def written(folder: Path, text: str, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\n".join(map(json.dumps, ROWS)), [1, 2, 3, 4]),
        ("\ufeff" + json.dumps(ROWS[0]) + "\r\n\r\n" + "\n".join(map(json.dumps, ROWS[1:])) + "\n", [1, 3, 4, 5]),
        (json.dumps(ROWS), [1, 1, 1, 1]),
        (json.dumps(ROWS, ensure_ascii=False), [1, 1, 1, 1]),
        ("\ufeff [\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n", [2, 3, 4, 5]),
        (json.dumps(ROWS, indent=1), [2, 5, 8, 9]),
    ],
)
def test_lines_and_arrays(tmp_path: Path, text: str, lines: list[int]) -> None:
    assert list(values_of_file(written(tmp_path, text))) == list(zip(lines, ROWS, strict=True))


def test_nothing_and_values_that_are_arrays(tmp_path: Path) -> None:
    assert list(values_of_file(written(tmp_path, "[ ]"))) == []
    assert list(values_of_file(written(tmp_path, "\n\n"))) == []
    assert list(values_of_file(written(tmp_path, '["a", {}]\n["b", {}]'))) == [(1, ["a", {}]), (2, ["b", {}])]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"a": 1}\n{"a": \n{"a": 1}', 2, "not JSON: Expecting value"),
        ('[{"a": 1},\n{"a": 1} {"a": 2}]', 2, "not JSON: '{' where a comma or ] must be"),
        ('[{"a": 1},\n{"a" 1}]', 2, "not JSON: Expecting ':' delimiter (line 2, column 6)"),
        ('[{"a": 1},\n{"a": 1}', 2, "not JSON: the end where a comma or ] must be"),
        ('[{"a": 1},\n]', 2, "not JSON: Expecting value (line 2, column 1)"),
        ('[{"a": 1}]\n{"a": 1}', 2, "'{' after the array's end"),
        ('[{"a": 1},\n' + "[" * 100_000, 2, "too deep"),
    ],
)
def test_messages(tmp_path: Path, text: str, line: int, words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a.json", line=line):
        list(values_of_file(written(tmp_path, text)))


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    for text in ('[{"a": "é"}]', '{"a": "é"}'):
        (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
        with raises(InputError, "not UTF-8", path=tmp_path / "a.json", line=1):
            list(values_of_file(tmp_path / "a.json"))


def test_the_first_value_of_a_head() -> None:
    assert first_value(b'\xef\xbb\xbf[{"a": 1}, {"a":') == {"a": 1}
    assert first_value(b'{"a": 1}\n{"a') == {"a": 1}
    assert first_value(b'{"a": ') is None
    assert first_value(b"") is None


@pytest.mark.parametrize(
    "value",
    [
        [1, 3, "x"],
        [1, 3, "x", "Q1"],
        {"start": 1, "end": 3, "type": "x", "id": 7, "annotator": None},
        {"start_offset": 1, "end_offset": 3, "label": "x"},
        {"begin": 1, "end": 3, "tag": "x"},
        {"start_char": 1, "end_char": 3, "entity_type": "x", "score": "high"},
        {"offset": 1, "length": 2, "class": "x", "confidence": 7},
        {"start": 1, "end": 3, "entity": "da", "label": "x", "text": None},
    ],
)
def test_spans_under_many_names(value: Any) -> None:
    assert json_span(value) == Span(1, 3, "x")
    span = {"start": 1, "end": 3, "entity_group": "x", "text": "da", "score": 0.5}
    assert json_span(span) == Span(1, 3, "x", "da", 0.5)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "must be an object with start, end and type"),
        ([1, 3], "must be an object with start, end and type"),
        ([1, 3.0, "x"], "[1, 3.0, 'x']: must have start and end, as whole numbers"),
        ([1, True, "x"], "whole numbers"),
        (["1", "3", "x"], "whole numbers"),
        ({"end": 3, "type": "x"}, "whole numbers"),
        ({"start": 1, "type": "x", "length": 2.5}, "whole numbers"),
        ([1, 3, None], "must have a type, and"),
        ({"start": 1, "end": 3, "label": None}, "must have a type, and"),
        ({"start": 1, "end": 3, "label": ["x"]}, "must have a type, and"),
        ({"start": 1, "end": 3, "label": "x", "text": 7}, "any text must be texts"),
        ([3, 3, "x"], "span [3, 3) of type 'x' is empty"),
        ({"start": 9, "length": 10**4300 - 1, "type": "x"}, "span of type 'x' has an offset of more than 18 digits"),
        ({"start": -9, "length": 1 - 10**4300, "type": "x"}, "span of type 'x' has an offset of more than 18 digits"),
        ([0, 10**4300, "x"], "span of type 'x' has an offset of more than 18 digits"),
        ([-1, 3, "x"], "span [-1, 3) of type 'x' is empty or negative"),
    ],
)
def test_messages_of_spans(value: Any, words: str) -> None:
    with raises(InputError, words):
        json_span(value)


@pytest.mark.parametrize(("name", "first"), [("a.json", "["), ("a.JSON", "["), ("a.jsonl", "{"), ("a", "{")])
def test_the_name_says_whether_an_array_is_written(tmp_path: Path, name: str, first: str) -> None:
    documents = [Document("Ada", (Span(0, 3, "x", "Ada"),)), Document("Bob")]
    JsonLines().write(tmp_path / name, documents)
    assert (tmp_path / name).read_text().startswith(first)
    read = list(JsonLines().read(tmp_path / name, Repairs()))
    assert [(each.text, each.spans) for each in read] == [(each.text, each.spans) for each in documents]
    JsonLines().write(tmp_path / name, [])
    assert list(JsonLines().read(tmp_path / name, Repairs())) == []
