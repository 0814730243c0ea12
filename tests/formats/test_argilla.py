import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.argilla import Argilla
from nerbert.records import Repair, Repairs, Span
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


def old(**more: Any) -> dict[str, Any]:
    fields = {"text": TEXT, "tokens": [*TEXT[:-1].split(), "."], "prediction": None, "prediction_agent": None}
    return {**fields, "annotation": None, "annotation_agent": "ada", "id": 4, "metadata": {"page": 2}, **more}


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


def test_records_of_version_1(tmp_path: Path) -> None:
    found, repairs = read(
        Argilla(), tmp_path / "records.json",
        old(annotation=[["PER", 0, 12]], status="Validated"), old(annotation=[EMMY], status="Discarded"),
        old(prediction=[["LOC", 23, 32, 0.5], {**EMMY, "score": None}], status="Default"),
        old(annotation=[], tokens=None),
    )  # fmt: skip
    assert found[0].words == ((0, 4), (5, 12), (13, 19), (20, 22), (23, 32), (32, 33))
    assert found[0].spans == (Span(0, 12, "PER", "Emmy Noether"),)
    assert found[1].spans == (Span(23, 32, "LOC", "Göttingen", 0.5), Span(0, 12, "PER", "Emmy Noether"))
    assert [each.tagged for each in found] == [False, True, False]
    assert found[2].words is None
    assert found[0].fields == {"id": 4, "page": 2}
    assert repairs == {Repair.REJECTED: 1}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (record(response({**EMMY, "label": None})), "type None: start and end must be whole numbers"),
        (record(response({**EMMY, "start": 0.0})), "whole numbers"),
        (record(response({"start": 4})), "whole numbers"),
        (record(suggestion={"value": [EMMY], "score": [0.1, 0.2]}), "1 spans with 2 scores"),
        (record(suggestion={"value": [EMMY], "score": "high"}), "must be a number from 0 to 1"),
        (record(3), "a response is 3"),
        (record(responses=[{"values": {}}]), "must be an object"),
        (record(metadata=[1]), "metadata is [1]"),
        (record(fields={"a": "x", "b": "y"}), "the annotated text is unclear: there is a, b"),
        (record(fields={"text": None}), "there is no text"),
        (old(text=None), "text is None"),
        (old(annotation=["PER"]), "entity 'PER'"),
        (old(annotation="PER"), "must be a list"),
        (old(tokens=["Emmy", "Nöther"]), "token 1 (from 0), 'Nöther', isn't in the text"),
        ({"text": TEXT, "spans": []}, "seems to be jsonl, but earlier lines have argilla"),
    ],
)
def test_messages(tmp_path: Path, broken: Any, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" + json.dumps(record(response())) + ",\n" + json.dumps(broken) + "]")
    with raises(InputError, words, path=path, line=2):
        list(Argilla().read(path, Repairs()))
