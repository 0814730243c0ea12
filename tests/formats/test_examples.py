"""Which format a file is read in, what is said of files that none reads, and JSON lines as annotated sentences."""

import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.formats.conll import Conll, example_of
from nerbert.formats.documents import Reading, document_of, example_of_spans
from nerbert.formats.format import FORMATS, find_format, read_documents, recognise_format
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Example
from tests.examples import read_examples
from tests.raised import raises

CONLL = "Ada\tB-person\nslept\tO\n\n"
SPANS = "text,start,end,label\nAda,0,3,x\n"
OURS = '{"text": "Ada slept", "spans": [{"start": 0, "end": 3, "type": "person"}]}\n'
ADA = Example("Ada slept", ((0, 3), (4, 9)), example_of_spans("Ada slept", [(0, 3, "person")]).spans)


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "a.txt", "a", "A.BIO"])
@pytest.mark.parametrize(("content", "format_"), [(CONLL, "conll"), (OURS, "jsonl")])
def test_content_decides_whatever_the_name(tmp_path: Path, name: str, content: str, format_: str) -> None:
    path = written(tmp_path, name, content)
    assert type(find_format(path)) is FORMATS.find(format_)
    assert recognise_format(path) == format_
    assert read_examples(path) == [ADA]


def test_a_named_format_is_not_asked_for(tmp_path: Path) -> None:
    with raises(InputError, "not JSON: ", path=tmp_path / "a.conll", line=1):
        read_examples(written(tmp_path, "a.conll", CONLL), Reading(from_="jsonl"))
    with raises(SettingsError, "format 'connl': did you mean 'conll'? (must be one of 'conll', "):
        find_format(tmp_path / "a.conll", "connl")
    with raises(InputError, "its format has no tag_column"):
        read_examples(written(tmp_path, "b.jsonl", OURS), Reading(tag_column="2"))


class Older(JsonLines):
    """A user's format whose constructor takes nothing."""

    tag_column = ""


def test_a_format_gets_its_option_only_if_given(tmp_path: Path) -> None:
    assert read_examples(written(tmp_path, "a", OURS), Reading(from_=f"{__name__}:Older")) == [ADA]


KNOWN = f"formats are {', '.join(FORMATS)}, or your own with --from module:name"
PROSE = "Ada Lovelace wrote to Charles Babbage, in London.\nShe was a mathematician, he an engineer.\n\nThey met.\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps([{"id": 1, "parts": [{"raw": "Ada slept"}]}], indent=2), "seems to be JSON with id, parts, raw"),
        ("text,label\nAda slept,person\n", f"is in no known format; {KNOWN}"),
        ("<?xml version='1.0'?><s/>", f"seems to be XML or HTML; {KNOWN}"),
        (b"PK\x03\x04", f"seems to be a zip archive (unpack it first); {KNOWN}"),
        ('<?xml version="1.1"?><xmi:XMI/>', "seems to be UIMA XMI (export its named entities as CoNLL 2002)"),
        (
            '{"%TYPES": {}, "%FEATURE_STRUCTURES": []}',
            "seems to be UIMA JSON (export its named entities as CoNLL 2002)",
        ),
        ("#FORMAT=WebAnno TSV 3.3\n\n", "seems to be WebAnno TSV (export its named entities as CoNLL 2002)"),
        (b"\x1f\x8b\x08\x00", f"seems to be compressed with gzip (unpack it first); {KNOWN}"),
        (PROSE, f"is in no known format; {KNOWN}"),
        (PROSE.encode("utf-16"), "seems to be text in UTF-16 (save it as UTF-8, or: iconv -f UTF-16 -t UTF-8)"),
        (PROSE.encode("utf-32"), "seems to be binary, or text in another encoding than UTF-8; formats are"),
        ("漢字".encode("utf-16"), "seems to be text in UTF-16 ("),
        (CONLL.encode("utf-16-be"), "seems to be text in UTF-16 ("),
        (OURS.encode("utf-16-le"), "seems to be text in UTF-16 ("),
    ],
)
def test_messages_of_other_files(tmp_path: Path, content: str | bytes, words: str) -> None:
    for name in ("a.txt", *(["a.conll", "a.jsonl", "a.csv"] if "UTF-16" in words else [])):
        with raises(InputError, f": {words}"):
            read_examples(written(tmp_path, name, content))


@pytest.mark.parametrize(
    ("from_", "name", "words"),
    [
        ("", "none", "can't be read: No such file"),
        ("conll", "none", "can't be read: No such file"),
        ("", "", "is in no known format"),
        ("conll", "", "can't be read: Is a dir"),
    ],
)
def test_missing_files_and_folders(tmp_path: Path, from_: str, name: str, words: str) -> None:
    with raises(InputError, words):
        list(read_documents(tmp_path / name, Reading(from_=from_)))


@pytest.mark.parametrize(
    ("token", "tag", "words"),
    [("a\tb", "O", "'a\\tb' contains a tab"), ("a", "B-two words", "'two words' holds white")],
)
def test_what_conll_cannot_hold_is_not_written(tmp_path: Path, token: str, tag: str, words: str) -> None:
    with raises(InputError, words):
        Conll().write(tmp_path / "a.conll", [document_of(example_of([token], [tag]))])
    assert not list(tmp_path.iterdir())


ARRAY = json.dumps([{"words": ["Ada"]}])


def second(**row: Any) -> str:
    """A good line of JSON, and another."""
    return OURS + json.dumps(row) + "\n"


def span(start: int, end: int, type_: str = "x", **more: str) -> dict[str, Any]:
    return {"start": start, "end": end, "type": type_, **more}


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("a.jsonl", second(text="Ada", spans=[span(0, 2), span(0, 3)]), 2, "overlap"),
        ("a.conll", ARRAY, None, "a.conll: seems to be JSON with words; formats are"),
        ("a.jsonl", ARRAY, 1, "an object with words: ['Ada']; is not a text and spans"),
        ("a.jsonl", '{"words": ["Ada"]}', 1, "is not a text and spans, or tokens and tags; name its format"),
        ("a.jsonl", "slept\n", 1, "not JSON"),
        ("a.jsonl", "", None, "a.jsonl: holds no sentence"),
        ("a.conll", "\n\n", None, "a.conll: holds no sentence"),
    ],
)
def test_messages(tmp_path: Path, name: str, content: str, line: int | None, words: str) -> None:
    path = written(tmp_path, name, content)
    with raises(InputError, words, path=path if line else "", line=line) as caught:
        read_examples(path)
    assert str(caught.value).count(f"{path}:") == 1


def test_what_only_a_model_tagged_has_a_remedy(tmp_path: Path) -> None:
    task = {"text": "Ada slept", "_view_id": "ner_manual", "spans": [span(0, 3, label="x") | {"score": 1}]}
    path = written(tmp_path, "a.jsonl", json.dumps(task))
    with raises(InputError, "holds no sentence (texts that no person annotated, left out: 1); correct them"):
        read_examples(path)


@pytest.mark.parametrize(("name", "words"), [("a.docx", "a Word document (save it as text)"), ("a.XLSX", "as CSV")])
def test_messages_of_office_documents(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with raises(InputError, words):
        find_format(tmp_path / name)
