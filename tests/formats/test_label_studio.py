import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.label_studio import LabelStudio
from nerbert.records import Repair, Repairs, Span
from tests.formats.exports import DOCUMENTS, marked, read
from tests.raised import raises

TEXT = "Ada Lovelace wrote to Babbage in London."


def region(start: Any, end: Any, *labels: Any, text: Any = None, **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": list(labels), **({} if text is None else {"text": text})}
    return {"id": "x1", "from_name": "ner", "to_name": "text", "type": "labels", "value": value, **more}


def task(*annotations: Any, data: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": 41, "data": data or {"text": TEXT}, "annotations": list(annotations), "predictions": [], **more}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    LabelStudio().write(tmp_path / "tasks.json", DOCUMENTS)
    assert read(LabelStudio(), tmp_path / "tasks.json") == (DOCUMENTS, {})


def test_an_export(tmp_path: Path) -> None:
    first = {
        "id": 9,
        "completed_by": 2,
        "was_cancelled": False,
        "result": [
            region(0, 12, "PER", text="Ada Lovelace"),
            region(22, 29, "PER", "ORG", text="Babbage"),
            region(33, 39),
            {"from_id": "x1", "to_id": "x2", "type": "relation", "direction": "right"},
            {"from_name": "tone", "to_name": "text", "type": "choices", "value": {"choices": ["calm"]}},
        ],
    }
    second = {"id": 10, "completed_by": 3, "result": [region(33, 39, "LOC"), region(0, 3, "PER")]}
    found, repairs = read(
        LabelStudio(), tmp_path / "export.json",
        task(first, second, data={"text": TEXT, "source": "letters"}, meta={"batch": 1}, inner_id=1),
        task({"result": [], "was_cancelled": True}), task({"result": []}, id=42, data={"text": TEXT, "id": "own"}),
    )  # fmt: skip
    assert [marked(each) for each in found] == [
        [("Ada Lovelace", "PER"), ("Babbage", "PER"), ("Babbage", "ORG")], [],
    ]  # fmt: skip
    assert [each.fields for each in found] == [{"id": 41, "meta": {"batch": 1}, "source": "letters"}, {"id": "own"}]
    assert not any(each.tagged for each in found)
    assert repairs == {Repair.PASSED_OVER: 3, Repair.ANNOTATOR: 2, Repair.REJECTED: 1}


def test_predictions_stand_in_for_annotations(tmp_path: Path) -> None:
    result = [region(0, 12, "PER", score=0.5), region(33, 39, "LOC")]
    one = task(predictions=[{"model_version": "a", "score": 0.25, "result": result}, {"result": result}])
    found, repairs = read(LabelStudio(), tmp_path / "x.json", one, task())
    assert [(each.type, each.confidence) for each in found[0].spans] == [("PER", 0.5), ("LOC", 0.25)]
    assert [each.tagged for each in found] == [True, True]
    assert repairs == {Repair.ANNOTATOR: 2}
    both, _ = read(LabelStudio(), tmp_path / "y.json", {**one, "annotations": [{"result": [region(0, 3, "PER")]}]})
    assert (marked(both[0]), both[0].tagged) == ([("Ada", "PER")], False)


def test_minimal_form_has_an_object_for_each_annotation(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 12, "text": "Ada Lovelace", "labels": ["PER"]}, {"start": 1, "end": 2, "labels": []}]
    who = {"annotator": 1, "annotation_id": 8, "created_at": "2026-01-01", "updated_at": "2026-01-02", "lead_time": 3.5}
    found, repairs = read(
        LabelStudio(), tmp_path / "min.json",
        {"text": TEXT, "id": 1, "ner": spans, "tone": "calm", **who}, {"text": TEXT, "id": 1, "ner": spans, **who},
        {"text": TEXT, "id": 2, **who},
    )  # fmt: skip
    assert [marked(each) for each in found] == [[("Ada Lovelace", "PER")], []]
    assert found[0].fields == {"id": 1, "tone": "calm", **who}
    assert repairs == {Repair.ANNOTATOR: 1, Repair.PASSED_OVER: 2}


@pytest.mark.parametrize(
    ("data", "to_name"),
    [
        ({"title": "Letters", "review": TEXT}, "review"),
        ({"title": "Letters", "text": TEXT}, "shown"),
        ({"page": 4, "body": TEXT}, "shown"),
        ({"title": "Letters", "body": TEXT}, "shown"),
    ],
)
def test_the_annotated_text_is_found(tmp_path: Path, data: dict[str, Any], to_name: str) -> None:
    result = [region(33, 39, "LOC", text="London", to_name=to_name)]
    (found,), _ = read(LabelStudio(), tmp_path / "x.json", task({"result": result}, data=data))
    assert (found.text, marked(found)) == (TEXT, [("London", "LOC")])
    assert found.fields == {"id": 41, **{key: each for key, each in data.items() if each != TEXT}}


@pytest.mark.parametrize(("text", "surface"), [("one\ntwo", "one\ntwo"), (r"C:\new", r"C:\new")])
def test_a_lines_end_in_an_entity(tmp_path: Path, text: str, surface: str) -> None:
    result = [region(0, len(text), "X", text=surface.replace("\n", "\\n"))]
    (found,), _ = read(LabelStudio(), tmp_path / "x.json", task({"result": result}, data={"text": text}))
    assert found.spans == (Span(0, len(text), "X", surface),)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (task({"result": [region(0, 3, None)]}), "region 0: labels[0] = None: must be a valid string"),
        (task({"result": [region(True, 3, "X")]}), "region 0: start = True: must be a valid integer"),
        (task({"result": [region(3, 3, "X")]}), "is empty or negative"),
        (task({"result": [region(0, 3, "X", type="hypertextlabels")]}), "'hypertextlabels' of a page; only labels"),
        (task({"result": [region(0, 3, "X"), region(0, 3, "X", to_name="other")]}), "in several texts"),
        (task({"result": [{"value": {}}]}), "annotations[0].result[0].type is missing"),
        (task({"result": []}, data={"image": "/data/a.png", "name": "a"}), "the annotated text is unclear"),
        (task(predictions=[{"score": 7, "result": [region(0, 3, "X")]}]), "score 7: must be a number from 0 to 1"),
        ({"text": "a", "label": [[0, 1, "X"]]}, "seems to be doccano, but earlier lines have label-studio"),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, broken: Any, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" + json.dumps(task({"result": []})) + ",\n" + json.dumps(broken) + "]")
    with raises(InputError, words, path=path, line=2):
        list(LabelStudio().read(path, Repairs()))
