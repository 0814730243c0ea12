import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.prodigy import Prodigy
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import DOCUMENTS, marked, read, without_surfaces
from tests.raised import raises

TEXT = "Grace Hopper joined Vassar.\n\nShe left."
WORDS = ((0, 5), (6, 12), (13, 19), (20, 26), (26, 27), (29, 32), (33, 37), (37, 38))


def task(*spans: Any, answer: Any = "accept", **more: Any) -> dict[str, Any]:
    fields = {"_input_hash": -3, "_task_hash": 77, "meta": {"source": "notes"}, "_view_id": "ner_manual"}
    return {"text": TEXT, **fields, "spans": list(spans), "answer": answer, **more}


def tokens(*words: tuple[int, int]) -> list[dict[str, Any]]:
    return [
        {"text": TEXT[start:end], "start": start, "end": end, "id": number, "ws": TEXT[end : end + 1] == " "}
        for number, (start, end) in enumerate(words)
    ]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    words = replace(DOCUMENTS[0], words=((0, 3), (4, 5), (6, 9), (11, 13)))
    Prodigy().write(tmp_path / "tasks.jsonl", [words, *DOCUMENTS])
    assert read(Prodigy(), tmp_path / "tasks.jsonl") == ([words, *map(without_surfaces, DOCUMENTS)], {})


def test_an_export(tmp_path: Path) -> None:
    hopper = {"start": 0, "end": 12, "token_start": 0, "token_end": 1, "label": "PERSON"}
    vassar = {"start": 20, "end": 26, "token_start": 3, "token_end": 3, "label": "ORG", "text": "Vassar", "score": 0.5}
    path = tmp_path / "notes.jsonl"
    lines = [
        task(hopper, vassar, tokens=tokens(*WORDS[:5], (27, 29), *WORDS[5:])),
        task(hopper, answer="reject"),
        task(answer="ignore"),
        task(vassar, relations=[{"head": 1, "child": 3, "label": "AT"}]),
        task(vassar, answer=None),
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    found, repairs = read(Prodigy(), path)
    assert [marked(each) for each in found] == [
        [("Grace Hopper", "PERSON"), ("Vassar", "ORG")], [("Vassar", "ORG")], [("Vassar", "ORG")],
    ]  # fmt: skip
    assert [each.text for each in found[0].spans] == ["Grace Hopper", "Vassar"]
    assert [each.words for each in found] == [WORDS, None, None]
    assert found[0].fields == {"_input_hash": -3, "_task_hash": 77, "meta": {"source": "notes"}}
    assert [each.tagged for each in found] == [False, False, True]
    assert [each.spans[-1].confidence for each in found] == [1.0, 1.0, 0.5]
    assert repairs == {Repair.REJECTED: 2, Repair.PASSED_OVER: 1}


def test_pieces_of_words_are_no_words(tmp_path: Path) -> None:
    pieces = [{"text": "[CLS]", "start": 0, "end": 0}, {"text": "gr", "start": 0, "end": 2}]
    (found,), _ = read(Prodigy(), tmp_path / "x.json", task(tokens=pieces))
    assert found.words is None


def test_a_task_that_is_written(tmp_path: Path) -> None:
    spans = (Span(0, 12, "PER", "Grace Hopper", 0.91234), Span(21, 26, "ORG", "assar"))
    one = Document(TEXT, spans, WORDS, fields={"meta": 1}, tagged=True)
    value = Prodigy().value(one)
    assert value["tokens"][3:5] == [
        {"text": "Vassar", "start": 20, "end": 26, "id": 3, "ws": False},
        {"text": ".", "start": 26, "end": 27, "id": 4, "ws": True},
    ]
    assert value["spans"] == [
        {"start": 0, "end": 12, "label": "PER", "token_start": 0, "token_end": 1, "score": 0.9123},
        {"start": 21, "end": 26, "label": "ORG", "score": 1.0},
    ]
    assert "answer" not in value
    by_a_person = Prodigy().value(replace(one, tagged=False))
    assert by_a_person["answer"] == "accept"
    assert not any("score" in each for each in by_a_person["spans"])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (task({"start": 0, "end": 5}), "spans[0].label is missing"),
        (task({"start": 0.5, "end": 5, "label": "X"}), "spans[0].start = 0.5: must be a valid integer"),
        (task({"start": 0, "end": 5, "label": "X", "score": True}, answer=None), "must be a number from 0 to 1"),
        (task(answer="yes"), "answer = 'yes': must be 'accept'"),
        (task(tokens=[{"text": "Grace"}]), "tokens[0].start is missing"),
        (task(spans=None, label="SPORT"), "categories of whole texts"),
        ({"text": "a", "spans": []}, "seems to be jsonl, but earlier lines have prodigy"),
    ],
)
def test_messages(tmp_path: Path, broken: Any, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(task()) + "\n" + json.dumps(broken) + "\n")
    with raises(InputError, words, path=path, line=2):
        list(Prodigy().read(path, Repairs()))


@pytest.mark.parametrize("other", [[1], "accept", {"text": "a", "answer": "42"}, {"text": "a", "tokens": ["a"]}, None])
def test_other_objects_are_no_tasks(other: Any) -> None:
    assert not Prodigy().matches(other)
