import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.doccano import Doccano
from nerbert.records import Document, Repair, Repairs, Span
from tests.raised import raises

LISTS = {"id": 31, "text": "Ada met Bob.", "label": [[0, 3, "PER"], [8, 11, "PER"]], "Comments": ["sure?"]}
OBJECTS = {
    "id": 32, "text": "Ada met Bob.", "Comments": [],
    "entities": [{"id": 5, "label": "PER", "start_offset": 0, "end_offset": 3},
                 {"id": 6, "label": "PER", "start_offset": 8, "end_offset": 11}],
    "relations": [{"id": 1, "from_id": 5, "to_id": 6, "type": "met"}],
}  # fmt: skip
SPANS = (Span(0, 3, "PER"), Span(8, 11, "PER"))


def read(folder: Path, *rows: Any, repairs: Repairs | None = None) -> list[Document]:
    path = folder / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert Doccano().recognise(path, path.read_bytes())
    return list(Doccano().read(path, Repairs() if repairs is None else repairs))


def test_both_forms(tmp_path: Path) -> None:
    repairs = Repairs()
    assert read(tmp_path, LISTS, OBJECTS, {"data": "Bob", "labels": []}, repairs=repairs) == [
        Document("Ada met Bob.", SPANS, fields={"id": 31, "Comments": ["sure?"]}, line=1),
        Document("Ada met Bob.", SPANS, fields={"id": 32, "Comments": []}, line=2),
        Document("Bob", line=3),
    ]
    assert repairs == {Repair.PASSED_OVER: 1}


def test_a_first_text_without_labels(tmp_path: Path) -> None:
    for first in ({"id": 1, "text": "Ada", "label": [], "Comments": []}, OBJECTS | {"entities": [], "relations": []}):
        assert [len(each.spans) for each in read(tmp_path, first, LISTS)] == [0, 2]


def test_what_is_written_can_be_imported(tmp_path: Path) -> None:
    Doccano().write(tmp_path / "a.jsonl", [Document("Ada", (Span(0, 3, "PER", "Ada"),), ((0, 3),), fields={"id": 7})])
    assert (tmp_path / "a.jsonl").read_text() == '{"text": "Ada", "label": [[0, 3, "PER"]], "id": 7}\n'
    assert list(Doccano().read(tmp_path / "a.jsonl", Repairs())) == [
        Document("Ada", (Span(0, 3, "PER"),), fields={"id": 7}, line=1)
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"id": 1, "text": "Ada", "label": ["negative"]},
        {"id": 1, "text": "Ada", "label": [{"start": 0, "end": 3, "text": "Ada", "labels": ["x"]}]},
        {"id": 1, "text": "Ada", "entities": [{"start": 0, "end": 3, "label": "x"}]},
        {"id": 1, "text": "Ada", "entities": []},
        {"id": 1, "text": "Ada", "label": []},
        {"id": 1, "label": []},
        [],
    ],
)
def test_other_forms_are_not_recognised(value: Any) -> None:
    assert not Doccano().recognise(Path("a.jsonl"), json.dumps(value).encode())


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "Ada", "label": [[0, 3, None]]}, "span [0, 3, None]: must have a type"),
        ({"text": "Ada", "label": [[0.0, 3, "x"]]}, "span [0.0, 3, 'x']: must have start and end"),
        ({"text": "Ada", "label": [[0, 3]]}, "span [0, 3]: must be"),
        ({"text": "Ada", "entities": [{"start_offset": 0, "end_offset": 3}]}, "must have a type"),
        ({"text": None, "label": []}, "an object with text: None"),
        ({"text": "Ada", "spans": []}, "seems to be jsonl, but earlier lines have text and label"),
    ],
)
def test_messages(tmp_path: Path, row: Any, words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a.jsonl", line=2):
        read(tmp_path, LISTS, row)
