"""Annotation formats in and out: what is tagged and written is read again, and what is read is tagged again."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.documents import Reading
from nerbert.formats.format import FORMATS, abilities, read_documents
from nerbert.records import Document
from tests.examples import read_examples
from tests.extending.toys.format_toy import Toy
from tests.raised import raises
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Capitals
from tests.tagger.jobs.rows import rows, tagged, texts, write_rows
from tests.tagger.jobs.test_resume import left, write_standoff

Caught = pytest.CaptureFixture[str]
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "Ada met Bob in Oslo 😀 with Eve.", "n": 3},
    {"id": "b", "text": "nobody slept", "n": 4},
    {"id": "c", "text": "Zoë, À la carte", "n": 5},
]
TOY = "tests.extending.toys.format_toy:Toy"
ORDERED: list[str] = [row["text"] for row in ROWS]


def suffix_of(kind: str) -> str:
    return next(iter(FORMATS.find(kind)().suffixes), "")


def places(document: Document) -> tuple[str, list[tuple[int, str, str]]]:
    """A text without white space, and its entities: place in that, type, text."""
    text = document.text
    entities = [
        (len("".join(text[: one.start].split())), one.type, text[one.start : one.end]) for one in document.spans
    ]
    return "".join(text.split()), entities


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.extras if kind in ("spacy", "datasets") else ()) for kind in FORMATS]
)
def test_what_is_tagged_is_read_again(tag: Tag, capitals: Capitals, kind: str) -> None:
    write_rows("x.jsonl", ROWS)
    wanted = [Document(row["text"], tuple(spans)) for row, spans in zip(ROWS, capitals.tag_many(ORDERED), strict=True)]
    path = Path(f"y{suffix_of(kind)}")
    assert tag("x.jsonl", "-o", path, "--to", kind) == 0
    found = list(read_documents(path))
    holds = abilities(FORMATS.find(kind)())
    if holds.text != "words":
        assert [each.text for each in found] == ORDERED
    assert list(map(places, found)) == list(map(places, wanted))
    confidences = [[1.0 if holds.confidences == "none" else span.confidence for span in each.spans] for each in wanted]
    assert [[span.confidence for span in each.spans] for each in found] == confidences
    for row, document in zip(ROWS, found, strict=True):
        for name in holds.fields(Document(row["text"], fields=row)).keys() & {"id", "n"}:
            assert document.fields[name] == (str(row[name]) if kind == "csv" else row[name])
    assert tag(path, "-o", "z.jsonl") == 0
    again = list(read_documents(Path("z.jsonl"), Reading(from_="jsonl")))
    assert list(map(places, again)) == list(map(places, wanted))
    assert left() == []


@pytest.mark.parametrize("to", ["jsonl", "parquet", "csv", "label-studio"])
def test_a_text_of_any_field_is_read_again(tag: Tag, to: str) -> None:
    for number, body in enumerate((["Ada", "slept"], "Ada slept")):
        write_rows("x.jsonl", [{"body": body}])
        path = Path(f"y{number}{suffix_of(to)}")
        assert tag("x.jsonl", "-o", path, "--to", to, "--field", "body") == 0
        (document,) = read_documents(path)
        assert (document.text, [(span.start, span.end) for span in document.spans]) == ("Ada slept", [(0, 3)])


def test_what_models_tagged_is_no_training_data_until_somebody_says_so(tag: Tag) -> None:
    Path("x.txt").write_text("Ada slept\nBob\n")
    for to, words in (
        ("label-studio", "holds no sentence"),
        ("text", "y: is in no known format"),
        ("html", "y: seems to be XML or HTML"),
    ):
        assert tag("x.txt", "-o", "y", "--to", to, "--overwrite") == 0
        with raises(InputError, words):
            read_examples(Path("y"))


CSV = '\ufeffid;body;"text"\r\n7;x;"Ada; ""Bob""\r\nEve"\r\n8;Zoe;none\r\n'


def test_tables_are_rows_of_their_column(tag: Tag, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x.csv", "x.tsv"):
        Path(name).write_bytes(CSV.encode())
        assert tag(name, "-o", f"{name}.jsonl") == 0
        first, second = rows(f"{name}.jsonl")
        assert (first["id"], first["text"], first["body"]) == ("7", 'Ada; "Bob"\nEve', "x")
        assert [span["text"] for span in first["spans"]] == ["Ada", "Bob", "Eve"]
        assert second == {"id": "8", "body": "Zoe", "text": "none", "spans": []}
    assert tag("x.csv", "--field", "body", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[1])["spans"][0]["text"] == "Zoe"
    assert tag("x.csv", "--field", "name", "--json") == 1
    assert "x.csv:1: no column 'name' (the header has 'id', 'body', 'text'); name the text's" in capsys.readouterr().err
    assert tag("x.csv", "--from", "text", "-o", "lines.jsonl") == 0
    assert len(rows("lines.jsonl")) == 4
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CSV.encode())))
    assert tag("--from", "csv", "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (json.dumps([{"text": "Ada", "n": 1}, {"tokens": ["Bob", "x"]}], indent=1), ["Ada", "Bob x"]),
        ('{"text": "Ada"}\n{"text": "Eve"}\n', ["Ada", "Eve"]),
    ],
)
def test_json_is_an_array_or_lines(tag: Tag, content: str, wanted: list[str]) -> None:
    Path("x.json").write_text(content)
    assert tag("x.json", "-o", "y.jsonl") == 0
    assert texts("y.jsonl") == wanted


def test_text_stays_text_by_its_name(tag: Tag) -> None:
    prose = "Ada, the brig\nBob, the cat\n<br> Eve, x\n"
    for name in ("x.txt", "x", "x.v1"):
        Path(name).write_text(prose)
        assert tag(name, "-o", f"{name}.jsonl") == 0
        assert texts(f"{name}.jsonl") == prose.splitlines()


def test_a_format_of_ones_own(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    """Old entities are left out, words kept; in a folder files are found by its suffix; errors name the line."""
    Path("in/deep").mkdir(parents=True)
    Path("in/deep/x.toy").write_text("the [Ada](x) slept\n")
    Path("in/x.txt").write_text("Bob")
    assert tag("in", "-o", "out", "--from", TOY, "--to", TOY) == 0
    assert Path("out/deep/x.toy").read_text() == "the [Ada](vowel) slept\n"
    assert not Path("out/x.toy").exists()
    Path("y.toy").write_text("Ada\nthe [Ada](x) [y](\n")
    assert tag("y.toy", "--from", TOY, "--json") == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["tokens"] == ["Ada"]
    assert "y.toy:2: 'the Ada [y](': an entity has no type" in told.err
    assert tag("y.toy", "--from", TOY, "--field", "body") == 1
    assert f"y.toy: {TOY} has a fixed field for its texts; leave --field body out" in capsys.readouterr().err
    assert tag("--from", TOY) == 1
    assert f"standard input: {TOY} can't be read from a pipe; name a file" in capsys.readouterr().err
    Path("y.toy.gz").write_bytes(b"x")
    assert tag("y.toy.gz", "--from", TOY) == 1
    assert f"y.toy.gz: {TOY} can't be read compressed; unpack it first" in capsys.readouterr().err


class Narrow(Toy):
    def write(self, path: Path, documents: Iterable[Document]) -> None:
        super().write(path, documents)
        raise InputError(f"{path}: too narrow")


def test_what_a_format_cannot_hold_is_told_by_the_outputs_name(tag: Tag, capsys: Caught, capitals: Capitals) -> None:
    Path("x.txt").write_text("Ada")
    assert tag("x.txt", "-o", "y.toy", "--to", f"{__name__}:Narrow") == 1
    told = capsys.readouterr().err
    assert told.startswith("nerbert: y.toy: too narrow; .y.toy.partial and .y.toy.work stay")
    assert not Path("y.toy").exists()
    assert tag("x.txt", "-o", "y.toy", "--to", TOY) == 0
    assert capitals.seen == ["Ada"]
    assert Path("y.toy").read_text() == "[Ada](vowel)\n"


def test_rejected_texts_are_left_out_and_told(tag: Tag, capsys: Caught) -> None:
    write_rows(
        "x.jsonl", [{"text": "Ada", "answer": "accept", "spans": []}, {"text": "Bob", "answer": "reject", "spans": []}]
    )
    assert tag("x.jsonl", "--from", "prodigy", "-o", "y.jsonl") == 0
    assert tagged("y.jsonl") == [("Ada", ["Ada"])]
    assert capsys.readouterr().err.count("rejected texts left out: 1") == 1
    assert tag("x.jsonl", "--from", "prodigy", "--json") == 0
    assert capsys.readouterr().err.count("rejected texts left out: 1") == 1


def test_a_folder_of_brat_is_one_input(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    standoff = write_standoff([f"Ada {number}\nmet Bob" for number in range(10)])
    assert tag(standoff, "-o", "y.jsonl") == 0
    assert tagged("y.jsonl") == [(f"Ada {number}\nmet Bob", ["Ada", "Bob"]) for number in range(10)]
    assert tag(standoff, "-o", "new", "--to", "brat") == 0
    assert Path("new/deep/3.ann").read_text() == "T1\tvowel 0 3\tAda\nT2\telse 10 13\tBob\n"
    assert Path("new/deep/3.txt").read_text() == "Ada 3\nmet Bob"
    Path("x.txt").write_text("Ada")
    assert tag(standoff, "x.txt", "-o", "both", "--to", "brat") == 0
    assert sorted(path.name for path in Path("both").iterdir()) == ["brat", "manifest.json", "x"]
    assert Path("both/x/000001.ann").read_text() == "T1\tvowel 0 3\tAda\n"
    capsys.readouterr()
    assert tag(standoff, "-o", "brat/in", "--to", "brat") == 1
    assert "brat/in: is brat itself, is in it or contains it" in capsys.readouterr().err
    assert tag(standoff, "--to", "brat") == 1
    assert "--to brat: is made as a whole, so name a folder for it with -o" in capsys.readouterr().err
    assert tag(standoff, "-o", "lines", "--from", "text") == 0, "each line of each text, if that is asked for"
    assert len(rows("lines/deep/3.jsonl")) == 2
