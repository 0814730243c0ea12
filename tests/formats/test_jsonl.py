import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.json_files import json_value, object_line
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Document, Repair, Repairs, Span
from tests.raised import raises

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_any_object_comes_back(fields: dict[str, Any]) -> None:
    line = object_line(fields)
    assert json_value(line.decode()) == fields
    assert line.endswith(b"\n")
    assert not set(line.decode()[:-1]) & set("\n\r\x1b\x7f\x85\x9b\u2028\u2029")


def test_what_is_too_deep_to_be_read_or_written() -> None:
    with raises(InputError, "not JSON that can be read"):
        json_value("[" * 100_000)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with raises(InputError, "not JSON that can be written: too deep"):
        object_line({"x": deep})
    while deep:
        deep = deep.pop()


def read(folder: Path, *rows: Any, repairs: Repairs | None = None) -> list[Document]:
    path = folder / "a.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return list(JsonLines().read(path, Repairs() if repairs is None else repairs))


def test_what_tag_writes_is_kept(tmp_path: Path) -> None:
    line = (
        '{"text": "Ada slept", "tokens": ["Ada", "slept"], "spans": [{"text": "Ada", "type": "person", "start": 0, '
        '"end": 3, "confidence": 0.9731}], "id": 7, "note": {"by": null}}'
    )
    (one,) = read(tmp_path, line)
    span = Span(0, 3, "person", "Ada", 0.9731)
    assert one == Document("Ada slept", (span,), ((0, 3), (4, 9)), "", {"id": 7, "note": {"by": None}}, 1)
    JsonLines().write(tmp_path / "b.jsonl", [one])
    assert (tmp_path / "b.jsonl").read_text() == line + "\n"


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Ada", "spans": [[0, 3, "x"]]},
        {"sentence": "Ada", "entities": [{"start_offset": 0, "end_offset": 3, "label": "x", "id": 4}]},
        {"content": "Ada", "labels": [{"offset": 0, "length": 3, "tag": "x"}], "text": None},
        {"text": "Ada", "label": [[0, 3, "x"]], "annotations": [[0, 1, "y"]], "entities": "none"},
        {"text": "Ada", "ents": [{"start": 0, "end": 3, "label": "x"}], "tokens": [{"text": "Ada", "id": 0}]},
        {"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "x"}], "words": [[0, 3]]},
        {"text": "Ada", "entities": [{"start": 0, "end": 3, "type": "x", "description": "…"}], "asked": "all"},
        {"text": "Ada", "tags": [], "entities": [[0, 3, "x"]], "annotations": []},
    ],
)
def test_the_usual_names(tmp_path: Path, row: dict[str, Any]) -> None:
    (one,) = read(tmp_path, row)
    assert (one.text, one.spans, one.words) == ("Ada", (Span(0, 3, "x"),), None)
    assert all(one.fields[name] == row[name] for name in one.fields)


def test_spans_count_even_if_there_are_none(tmp_path: Path) -> None:
    (one,) = read(tmp_path, {"text": "Ada", "spans": [], "entities": [[0, 3, "x"]]})
    assert one.spans == ()


def test_tokens_with_tags(tmp_path: Path) -> None:
    tokens = ["Ada", "of", "New", "York"]
    repairs = Repairs()
    first, second, third, fourth, broken = read(
        tmp_path,
        {"tokens": tokens, "ner_tags": ["B-x", "O", "B-y", "I-y"], "id": 1},
        {"words": tokens, "labels": ["I-x", "O", "I-y", "I-z"]},
        {"text": "Ada  of NewYork", "tokens": tokens, "ner": ["B-x", "O", "B-y", "I-y"]},
        {"tokens": tokens, "tags": ["S-x", "O", "B-y", "E-y"]},
        {"tokens": tokens, "tags": ["B-x", "O", "I-y", "I-y"]},
        repairs=repairs,
    )
    spans = (Span(0, 3, "x", "Ada"), Span(7, 15, "y", "New York"))
    assert first == Document("Ada of New York", spans, ((0, 3), (4, 6), (7, 10), (11, 15)), "", {"id": 1}, 1)
    assert second.spans == (spans[0], Span(7, 10, "y", "New"), Span(11, 15, "z", "York"))
    assert (third.text, third.words) == ("Ada  of NewYork", ((0, 3), (5, 7), (8, 11), (11, 15)))
    assert third.spans == (spans[0], Span(8, 15, "y", "NewYork"))
    assert fourth.spans == broken.spans == spans
    assert repairs == {Repair.TAG: 1}  # the scheme is that of all rows
    (one, _) = read(tmp_path, {"tokens": tokens[2:], "tags": ["x", "x"]}, {"tokens": tokens, "tags": ["O"] * 4})
    assert one.spans == (Span(0, 8, "x", "New York"),)


def test_documents_of_several_lines_stay_together(tmp_path: Path) -> None:
    one, two = read(tmp_path, {"text": "a", "spans": [], "doc_id": 7}, {"text": "a", "spans": []})
    assert (one.group, two.group) == ("7", "")
    JsonLines().write(tmp_path / "b.jsonl", [one, Document("a", group="g")])
    assert [each.group for each in JsonLines().read(tmp_path / "b.jsonl", Repairs())] == ["7", "g"]


OTHERS = [
    {"text": "Ada", "label": ["negative"]},
    {"text": "Ada"},
    {"input": "Ada", "output": ["Ada <> person"]},
    {"text": "Ada", "entities": [{"text": "Ada", "type": "person"}], "types_asked_absent": []},
    {"tokenized_text": ["Ada"], "ner": [[0, 0, "x"]]},
    {"data": {"text": "Ada"}, "annotations": [{"result": []}]},
    ["Ada", {"entities": [[0, 3, "x"]]}],
    {"spans": []},
    7,
]


@pytest.mark.parametrize("value", OTHERS)
def test_other_forms_are_left_to_others(value: Any) -> None:
    assert not JsonLines().matches(value)
    assert not JsonLines().recognise(Path("a.jsonl"), json.dumps(value).encode())


OURS = {"text": "Ada", "spans": [{"start": 0, "end": 3, "type": "x"}]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"text": "Ada", "spans": [', "not JSON: "),
        ({"text": "Ada", "spans": None}, "an object with text: 'Ada', spans: None"),
        ({"text": 7, "spans": []}, "an object with text: 7, spans: []; earlier lines have a text and spans"),
        ({"text": "Ada", "spans": [{"start": 0, "end": True, "type": "x"}]}, "must have start and end"),
        ({"text": "Ada", "tokens": ["Bob"], "spans": []}, "token 0 (from 0), 'Bob', isn't in the text"),
        ({"tokens": ["Ada", ""], "spans": []}, "word 1 (from 0) is ''"),
        ({"tokens": ["Ada", "met", "Bob"], "entities": [{"start": 2, "end": 3, "type": "x"}]}, "seem to count tokens"),
        ({"text": "Ada met Bob", "tokens": ["Ada", "met", "Bob"], "ner": [[2, 3, "x"]]}, "seem to count tokens"),
        ({"tokens": ["Ada", "met"], "ner_tags": [3, 0]}, "but the file lacks their names"),
        ({"tokens": ["Ada", "met"], "ner_tags": ["O"]}, "has 1 tags for 2 tokens"),
        ({"tokens": ["Ada"], "tags": ["person"]}, "tag 'person': must be O, B-TYPE or I-TYPE"),
        ({"tokens": ["Ada"], "tags": [None]}, "earlier lines have"),
    ],
)
def test_messages(tmp_path: Path, row: Any, words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a.jsonl", line=2):
        read(tmp_path, OURS, row)


def test_spans_of_tokens_without_a_text_count_characters(tmp_path: Path) -> None:
    (one,) = read(tmp_path, {"tokens": ["Ala", "bama met"], "spans": [{"start": 4, "end": 12, "type": "x"}]})
    assert (one.text, one.words) == ("Ala bama met", ((0, 3), (4, 12)))


PEOPLE = "Anna Berg left Oslo."
ANNA, OSLO = (0, 9, "PER"), (15, 19, "LOC")


def at_start(text: str = "Anna Berg", **fields: Any) -> dict[str, Any]:
    return {"text": text, "start_pos": 0, "end_pos": 9, **fields}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": PEOPLE, "labels": [], "entities": [at_start(labels=[{"value": "PER"}])]}, [ANNA]),  # flair
        ({"text": PEOPLE, "entities": [at_start(labels=["PER", "X"])]}, [ANNA, (0, 9, "X")]),
        (
            {
                "content": PEOPLE,
                "annotation": [
                    {"label": ["PER"], "points": [{"start": 0, "end": 8, "text": "Anna Berg"}]},
                    {"label": [], "points": [{"start": 0, "end": 8}]},
                ],
            },
            [ANNA],
        ),
        ({"content": PEOPLE, "annotation": None}, []),
        ({"input": PEOPLE, "output": {"entities": {"PER": ["anna berg"], "LOC": ["Oslo"]}}}, [ANNA, OSLO]),
        (
            {
                "full_text": PEOPLE,
                "masked": "",
                "spans": [{"entity_type": "PER", "entity_value": "Anna Berg", "start_position": 0, "end_position": 9}],
            },
            [ANNA],
        ),
        ({"text": PEOPLE, "entities": {"PER": [[0, 9]], "LOC": [{"start": 15, "end": 19}], "X": []}}, [ANNA, OSLO]),
        ({"text": PEOPLE, "tokens": [{"id": 0, "start": 0, "end": 9}, {"id": 1, "start": 9, "end": 10}]}, []),
        (
            {
                "id": 1,
                "paragraphs": [
                    {
                        "raw": PEOPLE,
                        "sentences": [
                            {
                                "tokens": [
                                    {"orth": "Anna", "ner": "B-PER"},
                                    {"orth": "Berg", "ner": "L-PER"},
                                    {"orth": "left", "ner": "O"},
                                    {"orth": "Oslo", "ner": "U-LOC"},
                                    {"orth": ".", "ner": "-"},
                                ]
                            }
                        ],
                    }
                ],
            },
            [ANNA, OSLO],
        ),
    ],
)
def test_forms_of_other_tools(tmp_path: Path, row: dict[str, Any], expected: list[tuple[int, int, str]]) -> None:
    (document,) = read(tmp_path, row)
    assert [(span.start, span.end, span.type) for span in document.spans] == expected
    assert document.words is None or document.words[0] in ((0, 9), (0, 4))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": PEOPLE, "labels": [], "entities": [{"from": 0, "to": 9, "kind": "PER"}]}, "is not a text and spans"),
        ({"text": PEOPLE, "annotations": [{"label": 2, "start_offset": 0, "end_offset": 9}]}, "not their numbers"),
        ({"input": PEOPLE, "output": {"entities": {"PER": ["Ida"]}}}, "mention 'Ida' of type 'PER': the text doesn't"),
        ({"paragraphs": [{"sentences": [{"tokens": [{}]}]}]}, "paragraphs: must be spaCy's"),
    ],
)
def test_messages_of_forms_of_other_tools(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a.jsonl", line=1):
        read(tmp_path, row)
