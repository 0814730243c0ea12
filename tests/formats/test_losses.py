"""Each format through a conversion and back: each kind of content comes back equal, or the summary names its loss."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nerbert.data.convert import convert_data
from nerbert.errors import InputError
from nerbert.formats.documents import Reading
from nerbert.formats.format import FORMATS, read_documents
from nerbert.records import Document
from tests.formats.losses import check_same, told
from tests.raised import raises

EXTRAS = ("datasets", "spacy")
NAMES = [pytest.param(name, marks=[pytest.mark.extras] * (name in EXTRAS)) for name in FORMATS]
CLASHING = (
    "tokens",
    "words",
    "spans",
    "entities",
    "label",
    "labels",
    "relations",
    "answer",
    "ner",
    "ner_tags",
    "tokenized_text",
    "data",
    "meta",
    "metadata",
    "cats",
    "id",
    "document",
    "start",
    "score",
    "field.note",
)
"""Names of fields that formats use themselves."""


def row(text: str, surface: str, confidence: float = 1.0, **more: Any) -> dict[str, Any]:
    start = text.index(surface)
    span = {"start": start, "end": start + len(surface), "type": "name", "text": surface, "confidence": confidence}
    return {"text": text, "spans": [span], **more}


def task(results: str, **fields: Any) -> dict[str, Any]:
    """A task of Label Studio."""
    span = {"start": 0, "end": 3, "text": "Ann", "labels": ["name"]}
    result = [{"from_name": "label", "to_name": "text", "type": "labels", "value": span, "score": 0.5}]
    return {"data": {"text": "Ann", **fields}, results: [{"result": result}]}


CONTENTS: dict[str, list[dict[str, Any]]] = {
    "confidences": [row("Ann sails.", "Ann", 0.5), row("Bo rests.", "Bo")],
    "spaces": [row("Ann  sails.\n\tBo rests. ", "Bo"), row(" Oslo", "Oslo")],
    "joiners": [
        row("The \U0001f469\u200d\U0001f52c Ann co\u00adoperates\u200b.", "Ann"),
        row("\u200fBo\u00ad left", "Bo"),
    ],
    "characters": [row("\u2066Ann\u2069 \u200b sails.\n\u200d\nBo", "Ann"), row("\u00adOslo\u00ad", "Oslo")],
    "byte order mark": [row("\ufeffAnn\ufeff sails.", "Ann"), row("\ufeffBo \ufeffleft", "left")],
    "words": [row("co-op Ann", "Ann", tokens=["co-op", "Ann"]), row("Bo", "Bo", tokens=["Bo"])],
    "groups": [row(f"{name} {group}", name, document_id=group) for group in "ab" for name in ("Ann", "Bo", "Cy")],
    "sentences": [row("Ann sails. Bo rests.", "Bo"), row("Oslo", "Oslo")],
    "order": [row(f"Ann {id_}", "Ann", id=id_) for id_ in ("doc_10", "doc_2", "doc_2", "a/b", "../a")],
    "ids": [row(f"Ann {id_}", "Ann", id=id_) for id_ in (10, 9, 9)],
    "fields": [row("Ann", "Ann", note="kept", many=["a", "b"]), row("Bo", "Bo", note="é,\n\"'")],
    "numbers": [row("Ann", "Ann", page=3, share=0.5, big=1 << 40, yes=True), row("Bo", "Bo", page=4)],
    "nested": [row("Ann", "Ann", deep={"a": {"b": [1]}}), row("Bo", "Bo", deep={"c": [{"d": "e"}, {"f": 1}]})],
    "nulls": [row("Ann", "Ann", note=None, all=None), row("Bo", "Bo", note="here", all=None)],
    "inner nulls": [row("Ann", "Ann", deep={"a": None, "b": 1}), row("Bo", "Bo", deep={"b": 2})],
    "empty": [row("Ann", "Ann", note="", many=[]), row("Bo", "Bo", note="x", many=["a"])],
}


def rows_in(folder: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write rows of JSON lines; return their file."""
    (folder / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    return folder / "a.jsonl"


def round_trip(folder: Path, source: Path, name: str) -> tuple[list[Document], list[Document], list[str]]:
    """Return what a source holds, what comes back of it from a format, and the losses that were told."""
    kind = FORMATS.find(name)()
    output = folder / f"there{kind.suffixes[0] if kind.suffixes else ''}"
    losses = convert_data(source, output, to=name).losses
    reading = Reading(from_=name, units="characters")
    return list(read_documents(source)), list(read_documents(output, reading)), losses


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", NAMES)
def test_content_comes_back_or_its_loss_is_told(tmp_path: Path, name: str, content: str) -> None:
    check_same(*round_trip(tmp_path, rows_in(tmp_path, CONTENTS[content]), name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["x", None, ["a", "b"]])
def test_fields_with_names_that_formats_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    """They are read from Label Studio's data, which take any names."""
    monkeypatch.setattr("nerbert.data.convert._SHOWN", len(CLASHING))
    fields = ({}, *({field: value} for field in CLASHING), dict.fromkeys(CLASHING, value))
    source = tmp_path / "a.json"
    source.write_text(json.dumps([task("annotations", **each) for each in fields]))
    check_same(*round_trip(tmp_path, source, name))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_model_tagged(tmp_path: Path, name: str) -> None:
    source = tmp_path / "a.json"
    source.write_text(json.dumps([task("predictions"), task("predictions", note="x")]))
    before, after, losses = round_trip(tmp_path, source, name)
    assert [span.confidence for each in before for span in each.spans] == [0.5, 0.5]
    check_same(before, after, losses)


def test_losses_are_counted_and_named(tmp_path: Path) -> None:
    rows = [*CONTENTS["confidences"], *CONTENTS["characters"], row("Ann", "Ann", label="x", page=3, empty=None)]
    source = rows_in(tmp_path, rows)
    expected = {
        "conll": [
            "the texts' own spaces, lines and invisible characters: it holds sentences of words",
            "the fields label, page, empty as they are",
            "confidences: 1",
        ],
        "doccano": ["the fields label as they are", "confidences: 1"],
        "csv": ["the fields page, empty as they are"],
        "parquet": ["the fields empty as they are"],
        "argilla": ["confidences of annotated texts: 1"],
        "prodigy": [],
        "label-studio": [],
    }
    for name, losses in expected.items():
        assert convert_data(source, tmp_path / name, to=name).losses == losses


@pytest.mark.parametrize(
    ("name", "content", "loss"),
    [
        ("marked", [row("Ann sails.\n", "Ann")], "spaces"),
        ("marked", [row("Ann sails.\u2028", "Ann")], "spaces"),
        ("marked", [row("Ann\r\nLee", "Ann\r\nLee")], "spaces"),
        ("marked", [row("Ann ", "Ann"), {"text": "\x1c ", "tokens": ["\x1c"], "spans": []}], "1 left out"),
        ("conll", [row("Ann", "Ann", document_id=each) for each in "aba"], "which texts belong together"),
        ("doccano", [row("Ann", "Ann", tokens=["Ann"])], "where words begin and end"),
        pytest.param(
            "spacy",
            [row("Ann", "Ann", document_id=each) for each in "aba"],
            "which texts belong together",
            marks=pytest.mark.extras,
        ),
    ],
)
def test_small_losses_are_told(tmp_path: Path, name: str, content: list[dict[str, Any]], loss: str) -> None:
    before, after, losses = round_trip(tmp_path, rows_in(tmp_path, content), name)
    assert before != after
    assert told(losses, loss)


def test_a_word_that_is_a_mark_of_a_document_is_refused(tmp_path: Path) -> None:
    source = rows_in(tmp_path, [row("-DOCSTART- Ann", "Ann", tokens=["-DOCSTART-", "Ann"])])
    with raises(InputError, "word '-DOCSTART-' begins as CoNLL's mark of a document does", path=source, line=1):
        convert_data(source, tmp_path / "b.conll")


def test_groups_of_several_files_are_apart(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "in" / f"{split}.conll").write_text("-DOCSTART-\tO\n\nAnn\tO\n\n-DOCSTART-\tO\n\nBob\tO\n\n")
    assert convert_data(tmp_path / "in", tmp_path / "out", to="conll").losses == []
