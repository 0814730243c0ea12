"""Which format a file is read in, what is said of files that none reads, and JSON lines as annotated sentences."""

import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.formats.conll import Conll, example_of
from nerbert.formats.documents import Reading, document_of, example_of_spans
from nerbert.formats.examples import find_format, name_of, read_documents, read_examples, recognised
from nerbert.formats.jsonl import JsonLines
from nerbert.formats.tables import Tables
from nerbert.labels import example_tags
from nerbert.records import Example
from nerbert.registry import FORMATS

CONLL = "Ada\tB-person\nslept\tO\n\n"
SPANS = "text,start,end,label\nAda,0,3,x\n"
OURS = '{"text": "Ada slept", "spans": [{"start": 0, "end": 3, "type": "person"}]}\n'
ADA = Example("Ada slept", ((0, 3), (4, 9)), example_of_spans("Ada slept", [(0, 3, "person")]).spans)


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "a.txt", "a", "A.BIO"])
@pytest.mark.parametrize(("content", "kind"), [(CONLL, Conll), (OURS, JsonLines)])
def test_content_decides_whatever_the_name(tmp_path: Path, name: str, content: str, kind: type) -> None:
    path = written(tmp_path, name, content)
    assert isinstance(find_format(path), kind)
    assert isinstance(recognised(path), kind)
    assert read_examples(path) == [ADA]


def test_a_named_format_is_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.conll:1: not JSON: "):
        read_examples(written(tmp_path, "a.conll", CONLL), Reading(from_="jsonl"))
    with pytest.raises(
        SettingsError,
        match=r"format 'connl': did you mean 'conll'\? .must be one of 'conll', .* or your own",
    ):
        find_format(tmp_path / "a.conll", "connl")


@pytest.mark.parametrize("name", ["train.conll", "train.txt"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps([{"id": 1, "paragraphs": [{"raw": "Ada slept"}]}], indent=2), "JSON with id, paragraphs, raw"),
        ("text,label\nAda slept,person\n", "CSV"),
        ("text;label\nAda slept;person\n", "CSV"),
        ("<?xml version='1.0'?><s/>", "XML or HTML"),
        (b"PK\x03\x04", "a zip archive (unpack it first)"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip (unpack it first)"),
    ],
)
def test_another_format_is_named_with_those_that_are_read(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    with pytest.raises(InputError) as raised:
        read_examples(written(tmp_path, name, content))
    assert str(raised.value) == (
        f"{tmp_path / name}: seems to be {told}; formats are {', '.join(FORMATS)}, or your own with --from module:name"
    )


PROSE = "Ada Lovelace wrote to Charles Babbage, in London.\nShe was a mathematician, he an engineer.\n\nThey met.\n"


@pytest.mark.parametrize("name", ["a.txt", "a", "a.conll", "a.jsonl", "a.csv"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            PROSE,
            r"seems to be untagged text \(mark its entities, say \[Oslo\|city\], .*; if it isn't, name its",
        ),
        ("阿达·洛芙莱斯从伦敦写信给查尔斯·巴贝奇教授。\n", "seems to be untagged text"),
        ("# seen\n[Ada|person] slept.\n[Oslo|city|place] is old.\n", r"seems to be marked text \(give it a name that"),
        (PROSE.encode("utf-16"), r"seems to be text in UTF-16 \(save it as UTF-8, or: iconv -f UTF-16 -t UTF-8\)$"),
        (PROSE.encode("utf-32"), r"seems to be binary, or text in another encoding than UTF-8; formats are"),
        ("漢字".encode("utf-16"), r"seems to be text in UTF-16 \("),
        (CONLL.encode("utf-16-be"), r"seems to be text in UTF-16 \("),
        (OURS.encode("utf-16-le"), r"seems to be text in UTF-16 \("),
        (SPANS.encode("utf-16-le"), r"seems to be text in UTF-16 \("),
        ('[{"text": "Ada", "spans": [],}]', r"not JSON: .*\(line 1, column 29\); remove the comma before \] or \}"),
    ],
)
def test_what_a_file_seems_to_be_has_a_remedy(tmp_path: Path, name: str, content: str | bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_examples(written(tmp_path, name, content))


def test_unknown_json_is_named_unless_the_name_says_json_lines(tmp_path: Path) -> None:
    array = json.dumps([{"words": ["Ada"]}])
    with pytest.raises(InputError, match=r"a\.conll: seems to be JSON with words; formats are"):
        read_examples(written(tmp_path, "a.conll", array))
    for content, fault in (
        (array, "an object with words: .* of no known form"),
        ('{"text": "Ada", "spans": [{"start": 0, "end": 3}]}', "span .*: must have a type"),
        ('{"text": "Ada", "spans": []', "not JSON: "),
        ('{"words": ["Ada"]}', "an object with words: .* not a text and spans, or tokens and tags; name its format"),
    ):
        with pytest.raises(InputError, match=f"a.jsonl:1: {fault}"):
            read_examples(written(tmp_path, "a.jsonl", content))


def test_a_first_object_longer_than_what_is_looked_at_first_is_recognised(tmp_path: Path) -> None:
    text = "Ada " * 300_000
    line = json.dumps({"text": text, "spans": []})
    assert len(read_examples(written(tmp_path, "a.jsonl", line))) == 1
    assert name_of(written(tmp_path, "a.json", f"[{line}]")) == "jsonl"
    whole = json.dumps({"classes": ["x"], "annotations": [[text, {"entities": [[0, 3, "x"]]}]]})
    assert name_of(written(tmp_path, "a.json", whole)) == "spacy-json"
    assert name_of(written(tmp_path, "a.json", line[:-9])) == ""


def test_what_is_no_json_is_recognised_by_its_beginning_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, int] = {}
    for one in (Tables, Conll, JsonLines):
        monkeypatch.setattr(one, "recognise", lambda self, path, head: sizes.update({type(self).__name__: len(head)}))
    recognised(written(tmp_path, "a.txt", json.dumps({"text": "x" * 3_000_000})))
    assert sizes == {"Tables": 1 << 20, "Conll": 1 << 20, "JsonLines": 3_000_012}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.conll", "Ada\tO\nb\n", r"a\.conll:2: broken line 'b'"),
        ("a.jsonl", "slept\n", r"a\.jsonl:1: not JSON"),
        ("a.jsonl", "", "a.jsonl: holds no sentence"),
        ("a.conll", "\n\n", "a.conll: holds no sentence"),
    ],
)
def test_faults_are_those_of_the_suffix(tmp_path: Path, name: str, content: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_examples(written(tmp_path, name, content))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for name in ("", "conll"):
        with pytest.raises(InputError, match="none: can't be read: No such file"):
            read_examples(tmp_path / "none", Reading(from_=name))
        with pytest.raises(InputError, match="can't be read: Is a directory"):
            read_examples(tmp_path, Reading(from_=name))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    examples = [
        example_of(["Ada", "met", "a", "Ada"], ["B-x", "O", "O", "B-x"]),
        example_of(["10\u00a0km", "\u2028"], ["B-y", "O"]),
        example_of_spans("Berlin-based, naïve 東京.", [(0, 6, "place"), (20, 22, "place")]),
        example_of([], []),
    ]
    JsonLines().write(tmp_path / "a.jsonl", map(document_of, examples))
    assert read_examples(tmp_path / "a.jsonl") == examples
    Conll().write(tmp_path / "a.txt", map(document_of, examples[:2]))
    assert isinstance(find_format(tmp_path / "a.txt"), Conll)
    assert read_examples(tmp_path / "a.txt") == examples[:2]


@pytest.mark.parametrize(
    ("tokens", "tags", "told"),
    [(["a\tb"], ["O"], r"word 'a\\tb' contains a tab"), (["a"], ["B-two words"], "type 'two words' holds white space")],
)
def test_what_conll_cannot_hold_is_not_written(tmp_path: Path, tokens: list[str], tags: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Conll().write(tmp_path / "a.conll", [document_of(example_of(tokens, tags))])
    assert not list(tmp_path.iterdir())


def test_words_are_given_or_found_and_entities_grow(tmp_path: Path) -> None:
    span = {"start": 3, "end": 6, "type": "x"}
    rows: list[dict[str, Any]] = [
        {"text": "Alabama met", "spans": [span]},
        {"text": "Ala bama met", "tokens": ["Ala", "bama met"], "spans": []},
        {"tokens": ["Ala", "bama met"], "spans": [{"start": 4, "end": 12, "type": "x", "text": "bama met"}], "id": 7},
    ]
    path = written(tmp_path, "a.jsonl", "\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n\n")
    first, second, third = read_examples(path)
    assert first.tokens == ("Alabama", "met")
    assert example_tags(first) == ["B-x", "O"]
    assert (second.tokens, third.text) == (("Ala", "bama met"), "Ala bama met")
    assert example_tags(third) == ["O", "B-x"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"text": "Ada"},
            "an object with text: 'Ada'; of no known form, but earlier lines have a text and spans",
        ),
        ({"text": "Ada", "spans": None}, "an object with text: 'Ada', spans: None; of no known form"),
        ({"spans": []}, "an object with spans: .*; of no known form"),
        ({"text": 7, "spans": []}, "an object with text: 7, spans"),
        ({"text": "Ada", "tokens": ["Bob"], "spans": []}, r"token 0 \(from 0\), 'Bob', isn't in the text"),
        ({"text": "Ada", "spans": [[0, "x"]]}, r"span \[0, 'x'\]"),
        ({"text": "Ada", "spans": [{"start": 0, "end": True, "type": "x"}]}, "must have start and end"),
        ({"text": "Ada", "spans": [{"start": 0, "end": 3}]}, "must have a type"),
        ({"text": "Ada", "spans": [{"start": 0, "end": 3, "type": ""}]}, "its type '' is empty"),
        ({"text": "Ada", "spans": [{"start": 0, "end": 4, "type": "x"}]}, "entity 0–4 .* the text has 3 characters"),
        ({"text": "Ada", "spans": [{"start": -1, "end": 2, "type": "x"}]}, "is empty or negative"),
        ({"text": "Ada", "spans": [{"start": 0, "end": 2, "type": "x", "text": "da"}]}, "the text has 'Ad' there"),
        ({"text": "Ada", "spans": [{"start": 0, "end": end, "type": "x"} for end in (2, 3)]}, "overlap"),
    ],
)
def test_faults_of_json_lines_name_the_line(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    path = written(tmp_path, "a.jsonl", OURS + json.dumps(row) + "\n")
    with pytest.raises(InputError, match=rf"a\.jsonl:2: .*({told})"):
        read_examples(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [("id,name\n1,x\n", "csv:1: header 'id,name': must name text"), ("", "a.csv: has no header")],
)
def test_a_table_without_spans_says_what_it_lacks(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_examples(written(tmp_path, "a.csv", content))


def test_what_only_a_model_tagged_has_a_remedy(tmp_path: Path) -> None:
    task = {
        "text": "Ada slept",
        "_view_id": "ner_manual",
        "spans": [{"start": 0, "end": 3, "label": "person", "score": 1}],
    }
    with pytest.raises(InputError, match=r"holds no sentence \(texts that .*, left out: 1\); correct them"):
        read_examples(written(tmp_path, "a.jsonl", json.dumps(task)))


def test_a_fault_found_while_units_are_looked_for_names_its_file_once(tmp_path: Path) -> None:
    path = tmp_path / "a.marked"
    path.write_text("[é|x] left\n[Ada", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(read_documents(path))
    assert str(caught.value).startswith(f"{path}:2: column 1: a mark is not closed")
