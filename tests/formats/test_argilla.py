import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.argilla import Argilla
from nerbert.formats.examples import find_format
from nerbert.records import Repair, Repairs
from tests.formats.exports import DOCUMENTS, marked, read, without_surfaces
from tests.raised import raises

TEXT = "Emmy Noether taught in Göttingen."
EMMY = {"start": 0, "end": 12, "label": "PER"}
CITY = {"start": 23, "end": 32, "label": "LOC"}


def record(*responses: Any, suggestion: Any = None, **more: Any) -> dict[str, Any]:
    given = {"spans": list(responses)} if responses else {}
    proposed = {"spans": suggestion} if suggestion else {}
    return {
        "id": "r1", "fields": {"text": TEXT}, "metadata": {}, "suggestions": proposed, "responses": given,
        "vectors": {}, "status": "completed", "_server_id": "s1", **more,
    }  # fmt: skip


def response(*spans: Any, **more: Any) -> dict[str, Any]:
    return {"value": list(spans), "user_id": "u1", **more}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    Argilla().write(tmp_path / "records.json", DOCUMENTS)
    assert read(Argilla(), tmp_path / "records.json") == ([without_surfaces(one) for one in DOCUMENTS], {})


def test_nested_records(tmp_path: Path) -> None:
    suggestion = {"value": [EMMY, CITY], "score": [0.9, 0.25], "agent": "m"}
    rating = {"rating": [{"value": 4, "user_id": "u1"}]}
    found, repairs = read(
        Argilla(), tmp_path / "records.json",
        record(response(EMMY), response(EMMY, CITY), suggestion=suggestion, metadata={"page": 3}),
        record(response(CITY, status="discarded")), record({"value": None, "user_id": "u1"}, suggestion=suggestion),
        record(response(CITY, status="draft"), suggestion=suggestion), record(response(), id=None, responses=rating),
        record(response(), fields={"title": "Life", "text": TEXT}),
    )  # fmt: skip
    assert [marked(each) for each in found] == [
        [("Emmy Noether", "PER")], [("Emmy Noether", "PER"), ("Göttingen", "LOC")], [], [],
    ]  # fmt: skip
    assert [each.tagged for each in found] == [False, True, True, False]
    assert [each.confidence for each in found[1].spans] == [0.9, 0.25]
    assert [each.fields for each in found] == [{"id": "r1", "page": 3}, {"id": "r1"}, {}, {"id": "r1", "title": "Life"}]
    assert repairs == {Repair.ANNOTATOR: 2, Repair.REJECTED: 2, Repair.PASSED_OVER: 2}


def test_flat_records(tmp_path: Path) -> None:
    more = {"id": "r1", "status": "completed", "_server_id": "s1", "text": TEXT, "page": 3}
    answers = {"n.responses": [[EMMY], [CITY]], "n.responses.users": ["a", "b"]}
    proposed = {"n.suggestion": [EMMY], "n.suggestion.score": 0.5, "n.suggestion.agent": "m"}
    found, repairs = read(
        Argilla(), tmp_path / "records.json",
        {**more, **answers, **proposed, "n.responses.status": ["discarded", "submitted"]},
        {**more, **answers, "n.responses.status": None}, {**more, **proposed, "n.responses": None},
        {**more, "n.responses": [[EMMY]], "n.responses.status": ["discarded"]},
    )  # fmt: skip
    assert [marked(each) for each in found] == [
        [("Göttingen", "LOC")],
        [("Emmy Noether", "PER")],
        [("Emmy Noether", "PER")],
    ]
    assert found[2].spans[0].confidence == 0.5
    assert [each.tagged for each in found] == [False, False, True]
    assert found[0].fields == {"id": "r1", "page": 3}
    assert repairs == {Repair.ANNOTATOR: 1, Repair.REJECTED: 1}


def test_records_of_version_1_name_the_other_export(tmp_path: Path) -> None:
    for name in ("a.json", "a.jsonl"):
        path = tmp_path / name
        path.write_text(json.dumps({"text": TEXT, "annotation": [["PER", 0, 12]], "annotation_agent": "ada"}))
        with raises(InputError, "seems to be records of Argilla 1 (export them from Argilla 2)"):
            find_format(path)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (record(response({**EMMY, "label": None})), "[0].label = None: must be a valid string"),
        (record(suggestion={"value": [EMMY], "score": [0.1, 0.2]}), "1 spans with 2 scores"),
        (record(suggestion={"value": [EMMY], "score": "high"}), "must be a number from 0 to 1"),
        (record(response({"start": 0, "end": 5})), "[0].label is missing"),
        (record(3), "responses.spans[0] = 3: must"),
        (record(fields={"a": "x", "b": "y"}), "the annotated text is unclear: there is a, b"),
        ({"text": TEXT, "spans": []}, "seems to be jsonl, but earlier lines have argilla"),
    ],
)
def test_messages(tmp_path: Path, broken: Any, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" + json.dumps(record(response())) + ",\n" + json.dumps(broken) + "]")
    with raises(InputError, words, path=path, line=2):
        list(Argilla().read(path, Repairs()))
