import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.argilla import Argilla
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import documents, is_read_or_refused, marked, read, values_with, with_surfaces

TEXT = "Emmy Noether taught in Göttingen."
EMMY = {"start": 0, "end": 12, "label": "PER"}
CITY = {"start": 23, "end": 32, "label": "LOC"}
NAMES = (
    "fields", "responses", "suggestions", "metadata", "text", "value", "status", "score", "start", "end", "label", "id",
    "q.responses", "q.responses.status", "q.suggestion", "q.suggestion.score", "annotation", "prediction", "tokens",
)  # fmt: skip


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


@settings(max_examples=40)
@given(st.lists(documents(), min_size=1, max_size=3))
def test_what_is_written_is_read_again(tmp_path_factory: Any, given: list[Document]) -> None:
    path = tmp_path_factory.mktemp("argilla") / "records.json"
    Argilla().write(path, given)
    assert read(Argilla(), path) == ([with_surfaces(each, fill=False) for each in given], {})


@settings(max_examples=80)
@given(values_with(*NAMES) | st.dictionaries(st.sampled_from(NAMES), values_with(*NAMES)))
def test_any_json_is_read_or_refused(value: Any) -> None:
    is_read_or_refused(Argilla(), value)
    assert is_read_or_refused(Argilla(), record(value, {"value": [value]}, suggestion=value))
    assert is_read_or_refused(Argilla(), {"text": "a b", "q.responses": value, "q.suggestion": value})
    assert is_read_or_refused(Argilla(), old(annotation=value))


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
    ("broken", "told"),
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
def test_what_cant_be_is_an_error_with_its_line(tmp_path: Path, broken: Any, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" + json.dumps(record(response())) + ",\n" + json.dumps(broken) + "]")
    with pytest.raises(InputError, match=r"x\.json:2: ") as error:
        list(Argilla().read(path, Repairs()))
    assert told in str(error.value)


@pytest.mark.parametrize("tagged", [False, True])
def test_argilla_reads_what_is_written_and_writes_what_is_read(tmp_path: Path, tagged: bool) -> None:
    argilla = pytest.importorskip("argilla", minversion="2")
    io = pytest.importorskip("argilla.records._io")
    confidence = 0.5 if tagged else 1.0
    one = Document(TEXT, (Span(0, 12, "PER", "", confidence),), fields={"id": "r7", "page": 2}, tagged=tagged)
    Argilla().write(tmp_path / "ours.json", [one])
    records = io.JsonIO._records_from_json(tmp_path / "ours.json")
    assert isinstance(records[0], argilla.Record)
    assert records[0].id == "r7"
    assert [each.status.value for each in records[0].responses] == ([] if tagged else ["submitted"])
    assert [each.score for each in records[0].suggestions.api_models()] == ([[0.5]] if tagged else [])
    io.JsonIO.to_json(records, tmp_path / "theirs.json")
    assert read(Argilla(), tmp_path / "theirs.json") == ([one], {})
    flat = io.GenericIO.to_list(records, flatten=True)
    assert read(Argilla(), tmp_path / "flat.json", *flat) == ([one], {})
