"""Exports of annotation tools, and GLiNER's training data: what is read, written and refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.documents import sentences_of
from nerbert.formats.exports import Argilla, Doccano, Gliner, Prodigy
from nerbert.formats.format import find_format, read_documents
from nerbert.formats.json_files import JsonFormat
from nerbert.formats.jsonl import JsonLines
from nerbert.formats.label_studio import LabelStudio
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import marked, read
from tests.raised import raises

TEXT = "Ada Lovelace wrote to Babbage in London."
ADA = {"start": 0, "end": 12, "label": "PER"}
CITY = {"start": 33, "end": 39, "label": "LOC"}
TUPLE = ["Ada met Bob.", {"entities": [[0, 3, "PER"], [8, 11, "PER", "Q7"]]}]
ADA_MARKED, CITY_MARKED = ("Ada Lovelace", "PER"), ("London", "LOC")
WORDS = ((0, 3), (4, 12), (13, 18), (19, 21), (22, 29), (30, 32), (33, 39), (39, 40))


def lists(*labels: Any, **more: Any) -> dict[str, Any]:
    """A text of doccano."""
    return {"id": 31, "text": TEXT, "label": list(labels), "Comments": ["sure?"], **more}


def sentence(**more: Any) -> dict[str, Any]:
    """A sentence of GLiNER."""
    return {"tokenized_text": ["Ada", "Lovelace", "left", "London"], "ner": [[0, 1, "PER"], [3, 3, "LOC"]], **more}


def region(start: Any, end: Any, *labels: Any, text: Any = None, **more: Any) -> dict[str, Any]:
    """An entity of Label Studio."""
    value = {"start": start, "end": end, "labels": list(labels), **({} if text is None else {"text": text})}
    return {"id": "x1", "from_name": "ner", "to_name": "text", "type": "labels", "value": value, **more}


def studio(*annotations: Any, data: Any = None, **more: Any) -> dict[str, Any]:
    """A task of Label Studio."""
    return {"id": 41, "data": data or {"text": TEXT}, "annotations": list(annotations), "predictions": [], **more}


def prodigy(*spans: Any, answer: Any = "accept", **more: Any) -> dict[str, Any]:
    """A task of Prodigy."""
    return {"text": TEXT, "_task_hash": 77, "meta": {"a": 1}, "spans": list(spans), "answer": answer, **more}


def tokens(*words: tuple[int, int]) -> list[dict[str, Any]]:
    return [
        {"text": TEXT[start:end], "start": start, "end": end, "id": number, "ws": TEXT[end : end + 1] == " "}
        for number, (start, end) in enumerate(words)
    ]


def record(*responses: Any, suggestion: Any = None, **more: Any) -> dict[str, Any]:
    """A record of Argilla."""
    return {
        "id": "r1",
        "fields": {"text": TEXT},
        "metadata": {},
        "suggestions": {"q": suggestion} if suggestion else {},
        "responses": {"q": list(responses)} if responses else {},
        "vectors": {},
        "_server_id": "s1",
        **more,
    }


def response(*spans: Any, **more: Any) -> dict[str, Any]:
    return {"value": list(spans), "user_id": "u1", **more}


def test_doccano(tmp_path: Path) -> None:
    marks = [0, 12, "PER"], [33, 39, "LOC"]
    found, _ = read(Doccano(), tmp_path / "a.jsonl", lists(), lists(*marks), {"data": "Bob", "labels": []})
    assert [marked(each) for each in found] == [[], [ADA_MARKED, CITY_MARKED], []]
    assert [each.fields for each in found] == [{"id": 31, "Comments": ["sure?"]}] * 2 + [{}]
    objects = [
        {"id": 5, "label": "PER", "start_offset": 0, "end_offset": 12},
        {"id": 6, "label": "LOC", "start_offset": 33, "end_offset": 39},
    ]
    related = {"id": 32, "text": TEXT, "entities": objects, "relations": [{"id": 1, "from_id": 5}]}
    (one,), _ = read(JsonLines(), tmp_path / "b.jsonl", related)
    assert marked(one) == [ADA_MARKED, CITY_MARKED]
    Doccano().write(tmp_path / "b.jsonl", [Document("Ada", (Span(0, 3, "PER", "Ada"),), fields={"id": 7})])
    assert (tmp_path / "b.jsonl").read_text() == '{"text": "Ada", "label": [[0, 3, "PER"]], "id": 7}\n'


def test_gliner(tmp_path: Path) -> None:
    (one, two), _ = read(Gliner(), tmp_path / "a.json", sentence(note="x"), {"tokenized_text": ["Hm"], "ner": []})
    spans = (Span(0, 12, "PER", "Ada Lovelace"), Span(18, 24, "LOC", "London"))
    words = ((0, 3), (4, 12), (13, 17), (18, 24))
    assert one == Document("Ada Lovelace left London", spans, words, "", {"note": "x"})
    assert (two.text, two.spans) == ("Hm", ())
    (other,), _ = read(
        Gliner(), tmp_path / "a.json", {"tokens": sentence()["tokenized_text"], "ner": sentence()["ner"]}
    )
    assert (other.text, other.spans) == (one.text, one.spans)
    text = "Ada lived in London. She wrote to Charles Babbage."
    document = Document(text, (Span(0, 3, "PER"), Span(34, 49, "PER")), fields={"x": [1]})
    Gliner().write(tmp_path / "a.jsonl", [document])
    assert list(map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())) == [
        {"tokenized_text": ["Ada", "lived", "in", "London", "."], "ner": [[0, 0, "PER"]], "x": [1]},
        {"tokenized_text": ["She", "wrote", "to", "Charles", "Babbage", "."], "ner": [[3, 4, "PER"]], "x": [1]},
    ]


def test_label_studio(tmp_path: Path) -> None:
    first = {
        "id": 9,
        "was_cancelled": False,
        "result": [
            region(0, 12, "PER", text="Ada Lovelace"),
            region(22, 29, "PER", "ORG", text="Babbage"),
            region(33, 39),
            {"from_id": "x1", "to_id": "x2", "type": "relation", "direction": "right"},
            {"from_name": "tone", "to_name": "text", "type": "choices", "value": {"choices": ["calm"]}},
        ],
    }
    second = {"id": 10, "result": [region(33, 39, "LOC"), region(0, 3, "PER")]}
    found, repairs = read(
        LabelStudio(),
        tmp_path / "export.json",
        studio(first, second, data={"text": TEXT, "source": "letters"}, meta={"batch": 1}, inner_id=1),
        studio({"result": [], "was_cancelled": True}),
        studio({"result": []}, id=42, data={"text": TEXT, "id": "own"}),
    )
    assert [marked(each) for each in found] == [[ADA_MARKED, ("Babbage", "PER"), ("Babbage", "ORG")], []]
    assert [each.fields for each in found] == [{"id": 41, "meta": {"batch": 1}, "source": "letters"}, {"id": "own"}]
    assert not any(each.tagged for each in found)
    assert repairs == {Repair.PASSED_OVER: 3, Repair.ANNOTATOR: 2, Repair.REJECTED: 1}


def test_predictions_of_label_studio_stand_in_for_annotations(tmp_path: Path) -> None:
    result = [region(0, 12, "PER", score=0.5), region(33, 39, "LOC")]
    one = studio(predictions=[{"model_version": "a", "score": 0.25, "result": result}, {"result": result}])
    found, repairs = read(LabelStudio(), tmp_path / "x.json", one, studio())
    assert [(each.type, each.confidence) for each in found[0].spans] == [("PER", 0.5), ("LOC", 0.25)]
    assert [each.tagged for each in found] == [True, True]
    assert repairs == {Repair.ANNOTATOR: 2}
    both, _ = read(LabelStudio(), tmp_path / "y.json", {**one, "annotations": [{"result": [region(0, 3, "PER")]}]})
    assert (marked(both[0]), both[0].tagged) == ([("Ada", "PER")], False)


def test_the_minimal_export_of_label_studio(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 12, "text": "Ada Lovelace", "labels": ["PER", "X"]}, {"start": 1, "end": 2}]
    who = {"annotator": "ada@example.org", "annotation_id": 8}
    given = [
        {"text": TEXT, "id": 1, "ner": spans, **who},
        {"text": TEXT, "id": 1, "ner": spans, **who},
        {"id": 2, "text": TEXT, **who},
    ]
    found, repairs = read(LabelStudio(), tmp_path / "min.json", *given)
    assert [marked(each) for each in found] == [[ADA_MARKED, ("Ada Lovelace", "X")], []]
    assert found[0].fields == {"id": 1, **who}
    assert repairs == {Repair.ANNOTATOR: 2, Repair.PASSED_OVER: 2}
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in given))
    assert isinstance(find_format(tmp_path / "a.jsonl"), LabelStudio)
    JsonLines().write(tmp_path / "b.jsonl", found)
    assert isinstance(find_format(tmp_path / "b.jsonl"), JsonLines), "with its fields"


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
    (found,), _ = read(LabelStudio(), tmp_path / "x.json", studio({"result": result}, data=data))
    assert (found.text, marked(found)) == (TEXT, [CITY_MARKED])
    assert found.fields == {"id": 41, **{key: each for key, each in data.items() if each != TEXT}}


@pytest.mark.parametrize(("text", "surface"), [("one\ntwo", "one\ntwo"), (r"C:\new", r"C:\new")])
def test_a_lines_end_in_an_entity(tmp_path: Path, text: str, surface: str) -> None:
    result = [region(0, len(text), "X", text=surface.replace("\n", "\\n"))]
    (found,), _ = read(LabelStudio(), tmp_path / "x.json", studio({"result": result}, data={"text": text}))
    assert found.spans == (Span(0, len(text), "X", surface),)


def test_prodigy(tmp_path: Path) -> None:
    city = {**CITY, "text": "London", "score": 0.5}
    found, repairs = read(
        Prodigy(),
        tmp_path / "a.json",
        prodigy(ADA, city, tokens=tokens(*WORDS[:2], (12, 13), *WORDS[2:])),
        prodigy(ADA, answer="reject"),
        prodigy(answer="ignore"),
        prodigy(city, relations=[{"head": 1, "child": 3}]),
        prodigy(city, answer=None),
        prodigy(tokens=[{"text": "[CLS]", "start": 0, "end": 0}, *tokens((0, 2))]),
    )
    assert [marked(each) for each in found] == [[ADA_MARKED, CITY_MARKED], [CITY_MARKED], [CITY_MARKED], []]
    assert [each.text for each in found[0].spans] == ["Ada Lovelace", "London"]
    assert [each.words for each in found] == [WORDS, None, None, None], "pieces of words are no words"
    assert found[0].fields == {"_task_hash": 77, "meta": {"a": 1}}
    assert [each.tagged for each in found] == [False, False, True, False]
    assert [each.spans[-1].confidence for each in found[:3]] == [1.0, 1.0, 0.5]
    assert repairs == {Repair.REJECTED: 2, Repair.PASSED_OVER: 1}


def test_a_task_of_prodigy_that_is_written() -> None:
    spans = (Span(0, 12, "PER", "Ada Lovelace", 0.91234), Span(34, 39, "LOC", "ondon"))
    one = Document(TEXT, spans, WORDS, fields={"meta": 1}, tagged=True)
    value = Prodigy().value(one)
    assert value["tokens"][6:] == [
        {"text": "London", "start": 33, "end": 39, "id": 6, "ws": False},
        {"text": ".", "start": 39, "end": 40, "id": 7, "ws": False},
    ]
    assert value["spans"] == [
        {**ADA, "token_start": 0, "token_end": 1, "score": 0.9123},
        {"start": 34, "end": 39, "label": "LOC", "score": 1.0},
    ]
    assert "answer" not in value
    by_a_person = Prodigy().value(replace(one, tagged=False))
    assert by_a_person["answer"] == "accept"
    assert not any("score" in each for each in by_a_person["spans"])


def test_argilla(tmp_path: Path) -> None:
    suggestion = {"value": [ADA, CITY], "score": [0.9, 0.25], "agent": "m"}
    found, repairs = read(
        Argilla(),
        tmp_path / "records.json",
        record(response(ADA), response(ADA, CITY), suggestion=suggestion, metadata={"page": 3}),
        record(response(CITY, status="discarded")),
        record({"value": None, "user_id": "u1"}, suggestion=suggestion),
        record(response(CITY, status="draft"), suggestion=suggestion),
        record(id=None, responses={"rating": [{"value": 4, "user_id": "u1"}]}),
        record(response(), fields={"title": "Life", "text": TEXT}),
    )
    assert [marked(each) for each in found] == [[ADA_MARKED], [ADA_MARKED, CITY_MARKED], [], []]
    assert [each.tagged for each in found] == [False, True, True, False]
    assert [each.confidence for each in found[1].spans] == [0.9, 0.25]
    assert [each.fields for each in found] == [{"id": "r1", "page": 3}, {"id": "r1"}, {}, {"id": "r1", "title": "Life"}]
    assert repairs == {Repair.ANNOTATOR: 2, Repair.REJECTED: 2, Repair.PASSED_OVER: 2}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"text": TEXT, "annotation": [["PER", 0, 12]], "annotation_agent": "ada"}, "records of Argilla 1"),
        ({"text": TEXT, "q.responses": [[ADA]], "q.responses.users": ["a"]}, "flat records of Argilla"),
        *((value, "seems to be spaCy's tuples (save them as DocBin, .spacy)") for value in ([TUPLE], TUPLE)),
    ],
)
def test_exports_that_are_not_read_name_another(tmp_path: Path, value: Any, words: str) -> None:
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text(json.dumps(value))
        with raises(InputError, words):
            find_format(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Doccano, {"id": 1, "text": "Ada", "label": ["negative"]}),
        (Doccano, {"id": 1, "text": "Ada", "label": []}),
        (Doccano, {"id": 1, "label": []}),
        (Doccano, []),
        (Gliner, {"tokens": ["Ada"], "ner": ["B-x"]}),
        (Gliner, {"tokens": ["Ada"], "text": "Ada", "ner": [[0, 3, "x"]]}),
        (Gliner, {"tokenized_text": ["Ada"]}),
        (Gliner, {"tokenized_text": "Ada", "ner": []}),
        (Prodigy, {"text": "a", "answer": "42"}),
        (Prodigy, {"text": "a", "tokens": ["a"]}),
        (Prodigy, "accept"),
        (JsonLines, sentence()),
    ],
)
def test_other_forms_are_not_recognised(kind: type[JsonFormat], value: Any) -> None:
    assert not kind().recognise(Path("a.jsonl"), json.dumps(value).encode())


GOOD: dict[type[JsonFormat], Any] = {
    Doccano: lists([0, 1, "x"]),
    Gliner: sentence(),
    LabelStudio: studio({"result": []}),
    Prodigy: prodigy(),
    Argilla: record(response()),
}


BROKEN: dict[type[JsonFormat], list[tuple[Any, str]]] = {
    Doccano: [
        (lists([0, 3, None]), "span [0, 3, None]: must have a type"),
        (lists([0.0, 3, "x"]), "span [0.0, 3, 'x']: must have start and end"),
        ({"text": None, "label": []}, "an object with text: None"),
        ({"text": "Ada", "spans": []}, "earlier lines have text and label"),
    ],
    Gliner: [
        (sentence(ner=[[0, 4, "x"]]), "entity [0, 4, 'x']: the row has 4 tokens"),
        *((sentence(ner=[each]), "the row has 4 tokens") for each in ([2, 1, "x"], [-1, 1, "x"])),
        *((sentence(ner=[each]), "must be first token") for each in ([0, True, "x"], [0, 1, None], [0, 1])),
        (sentence(tokenized_text=["Ada", 7]), "word 1 (from 0) is 7"),
    ],
    LabelStudio: [
        (studio({"result": [region(0, 3, None)]}), "region 0: labels[0] = None: must be a valid string"),
        (studio({"result": [region(True, 3, "X")]}), "region 0: start = True: must be a valid integer"),
        (studio({"result": [region(3, 3, "X")]}), "is empty or negative"),
        (studio({"result": [region(0, 3, "X", type="hypertextlabels")]}), "'hypertextlabels' of a page; only"),
        (studio({"result": [region(0, 3, "X"), region(0, 3, "X", to_name="other")]}), "in several texts"),
        (studio({"result": [{"value": {}}]}), "annotations[0].result[0].type is missing"),
        (studio({"result": []}, data={"image": "/a.png", "name": "a"}), "the annotated text is unclear"),
        (studio(predictions=[{"score": 7, "result": [region(0, 3, "X")]}]), "score 7: must be a number from 0"),
    ],
    Prodigy: [
        (prodigy({"start": 0, "end": 5}), "spans[0].label is missing"),
        (prodigy({"start": 0, "end": 5, "label": "X", "score": True}, answer=None), "must be a number from 0 to 1"),
        (prodigy(answer="yes"), "answer = 'yes': must be 'accept'"),
        (prodigy(tokens=[{"text": "Ada"}]), "tokens[0].start is missing"),
        (prodigy(spans=None, label="SPORT"), "categories of whole texts"),
    ],
    Argilla: [
        (record(response({**ADA, "label": None})), "[0].label = None: must be a valid string"),
        (record(suggestion={"value": [ADA], "score": [0.1, 0.2]}), "1 spans with 2 scores"),
        (record(suggestion={"value": [ADA], "score": "high"}), "must be a number from 0 to 1"),
        (record(3), "responses.q[0] = 3: must"),
        (record(fields={"a": "x", "b": "y"}), "the annotated text is unclear: there is a, b"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "broken", "words"), [(kind, *case) for kind, cases in BROKEN.items() for case in cases]
)
def test_messages(tmp_path: Path, kind: type[JsonFormat], broken: Any, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(GOOD[kind])}\n{json.dumps(broken)}\n")
    with raises(InputError, words, path=path, line=2):
        list(kind().read(path, Repairs()))


@pytest.mark.parametrize("text", ["/data/upload/1/book.txt", "https://example.org/12.txt", "s3://bucket/a.txt"])
def test_a_task_whose_text_is_an_address(tmp_path: Path, text: str) -> None:
    with raises(InputError, f"the text '{text}' is an address"):
        read(LabelStudio(), tmp_path / "a.json", studio({"result": [region(0, 5, "A")]}, data={"text": text}))
    read(
        LabelStudio(), tmp_path / "a.json", studio({"result": [region(1, 4, "A", text=text[1:4])]}, data={"text": text})
    )


@pytest.mark.parametrize("before", ["", "😀 "])
def test_granularity_of_words(tmp_path: Path, before: str) -> None:
    offset = len(before.encode("utf-16-le")) // 2
    task = studio({"result": [region(offset, offset + 8, "PER", text="n Ber")]}, data={"text": f"{before}Ann Berg."})
    (tmp_path / "a.json").write_text(json.dumps([task]))
    (document,) = read_documents(tmp_path / "a.json")
    assert [span.text for span in document.spans] == ["Ann Berg"]


def test_what_was_not_asked_is_unknown(tmp_path: Path) -> None:
    task = prodigy(ADA, _view_id="ner")
    (document,), _ = read(Prodigy(), tmp_path / "a.jsonl", task, prodigy(CITY, answer="reject", _view_id="ner"))
    (sentence,) = sentences_of(document)
    assert (len(sentence.spans), sentence.unknown) == (1, ((12, len(TEXT)),))
