"""Files in all formats in, files in all formats out: what is carried, what is replaced, what is refused."""

import datetime
import json
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import SettingsError
from nerbert.executors import HERE
from nerbert.formats.arrow_rows import SPAN_LIST
from nerbert.labels import example_tags
from nerbert.tagger.jobs.files import Amend, tag_all
from nerbert.tagger.jobs.job import TagJob, tag_files
from nerbert.terminal import Progress
from nerbert.texts.inputs import find_sources
from tests.examples import read_examples
from tests.raised import raises
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Capitals
from tests.tagger.jobs.rows import rows, write_rows

Caught = pytest.CaptureFixture[str]
ADA = {"text": "Ada", "type": "vowel", "start": 0, "end": 3, "confidence": 0.7}


def test_fields_of_json_are_carried_and_entities_replaced(tag: Tag) -> None:
    given = {"id": 2**70, "text": "Ada", "spans": "old", "deep": [{"x": None, "y": 1.5}], "": True, "ü": "\x7f\u2028"}
    Path("x.jsonl").write_text(json.dumps(given) + "\r\n\n \n" + json.dumps({"text": "x"}))
    assert tag("x.jsonl", "-o", "y.jsonl") == 0
    assert rows("y.jsonl") == [given | {"spans": [ADA]}, {"text": "x", "spans": []}]
    assert list(rows("y.jsonl")[0]) == list(given)
    assert not set(Path("y.jsonl").read_text()) & set("\x7f\u2028")
    assert tag("y.jsonl", "-o", "z.jsonl") == 0
    assert Path("z.jsonl").read_bytes() == Path("y.jsonl").read_bytes()


def test_the_text_may_be_in_any_field_and_may_be_words(tag: Tag, capitals: Capitals) -> None:
    write_rows("x.jsonl", [{"body": "Ada slept"}, {"body": ["Ada Lovelace", "slept", "Bob"], "text": 7}, {"body": []}])
    assert tag("x.jsonl", "-o", "y.jsonl", "--field", "body") == 0
    found = rows("y.jsonl")
    assert [[(span["text"], span["start"]) for span in row["spans"]] for row in found] == [
        [("Ada", 0)],
        [("Ada Lovelace", 0), ("Bob", 19)],
        [],
    ]
    assert found[1]["text"] == 7, "a field that is there stays"
    assert found[2] == {"text": "", "body": [], "spans": []}
    assert capitals.seen == ["Ada slept", "Ada Lovelace slept Bob", ""]
    write_rows("x.jsonl", [{"tokens": ["Ada", "slept"], "n": 1}, {"text": "Bob", "tokens": 2}])
    assert tag("x.jsonl", "-o", "z.jsonl") == 0
    assert [(row["text"], row["tokens"]) for row in rows("z.jsonl")] == [("Ada slept", ["Ada", "slept"]), ("Bob", 2)]
    pq.write_table(pa.table({"tokens": [["Ada", "slept"], []]}), "x.parquet")
    for to in ("parquet", "conll"):
        assert tag("x.parquet", "-o", f"z.{to}") == 0
    words = [{"tokens": ["Ada", "slept"], "text": "Ada slept"}, {"tokens": [], "text": ""}]
    assert pq.read_table("z.parquet").select(["tokens", "text"]).to_pylist() == words
    assert Path("z.conll").read_text() == "Ada\tB-vowel\nslept\tO\n\n"


def test_conll_keeps_its_words(tag: Tag) -> None:
    Path("x.conll").write_bytes(
        b"\xef\xbb\xbf-DOCSTART- -X- O\r\n\r\nAda\tNNP\tS-x\r\nNew York\tNNP\tO\r\n\r\n\r\nx y B-z\n10\xc2\xa0km O\nBob"
    )
    for to in ("conll", "jsonl"):
        assert tag("x.conll", "-o", f"y.{to}") == 0
    assert Path("y.conll").read_text() == "Ada\tB-vowel\nNew York\tB-else\n\nx\tO\n10\u00a0km\tO\nBob\tB-else\n\n"
    first = rows("y.jsonl")[0]
    assert first["tokens"] == ["Ada", "New York"]
    assert [first["spans"][1][key] for key in ("text", "type", "start", "end")] == ["New York", "else", 4, 12]
    assert [example_tags(each) for each in read_examples(Path("y.jsonl"))] == [
        example_tags(each) for each in read_examples(Path("y.conll"))
    ]


def test_text_becomes_annotated_sentences(tag: Tag) -> None:
    Path("x.txt").write_text("The brig sailed. Ada slept in Oslo!\n\n  \nBob\n")
    assert tag("x.txt", "-o", "y.conll") == 0
    assert [(each.tokens, example_tags(each)) for each in read_examples(Path("y.conll"))] == [
        (("The", "brig", "sailed", "."), ["B-else", "O", "O", "O"]),
        (("Ada", "slept", "in", "Oslo", "!"), ["B-vowel", "O", "O", "B-vowel", "O"]),
        (("Bob",), ["B-else"]),
    ]


def test_parquet_keeps_its_columns_as_they_are(tag: Tag) -> None:
    when = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    columns: dict[str, Any] = {
        "n": pa.array([1, 2], pa.int8()),
        "when": pa.array([when, None], pa.timestamp("ns", "UTC")),
        "text": pa.array(["Ada", "Bob \U0001f600 Eve"]).dictionary_encode(),
        "money": pa.array([Decimal("1.10"), None]),
        "bytes": pa.array([b"\xff", b""]),
        "x": pa.array([float("nan"), 0.5]),
        "spans": pa.array([1, 2]),
        "nested": pa.array([[{"a": b"x"}], None]),
    }
    pq.write_table(pa.table(columns), "x.parquet")
    assert tag("x.parquet", "-o", "y.parquet") == 0
    found = pq.read_table("y.parquet")
    assert found.column_names == ["n", "when", "text", "money", "bytes", "x", "nested", "spans"]
    assert found.schema.field("spans").type == SPAN_LIST
    for name in set(columns) - {"spans", "x"}:
        assert found.schema.field(name).type == columns[name].type
        assert found[name].to_pylist() == columns[name].to_pylist()
    assert [[span["start"] for span in spans] for spans in found["spans"].to_pylist()] == [[0], [0, 6]]
    assert tag("x.parquet", "-o", "y.jsonl", "--offsets", "utf-16") == 0
    first, second = rows("y.jsonl")
    assert first == {
        "n": 1,
        "when": "2020-01-02T03:04:05+00:00",
        "text": "Ada",
        "money": "1.10",
        "bytes": "/w==",
        "x": None,
        "nested": [{"a": "eA=="}],
        "spans": [ADA],
    }
    assert [(span["start"], span["end"]) for span in second["spans"]] == [(0, 3), (7, 10)]


@pytest.mark.parametrize("part", [1 << 18, 1])
def test_json_becomes_columns(tag: Tag, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """Those of all parts are joined."""
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", part)
    write_rows(
        "x.jsonl",
        [
            {"text": "Ada", "id": 1, "tags": [], "none": None},
            {"text": "x\ud800", "id": 2.5, "tags": ["a"], "more": {"y": None}},
        ],
    )
    assert tag("x.jsonl", "-o", "y.parquet", "--offsets", "utf-16") == 0
    assert pq.read_table("y.parquet").to_pylist() == [
        {"text": "Ada", "id": 1.0, "tags": [], "none": None, "more": None, "spans": [ADA]},
        {"text": "x\ufffd", "id": 2.5, "tags": ["a"], "none": None, "more": {"y": None}, "spans": []},
    ]


def test_columns_of_few_values_are_joined(tag: Tag, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dictionaries of parts that hold other values in another order."""
    monkeypatch.setattr("nerbert.formats.arrow_rows._MOST_ROWS", 3)
    values = [f"Ada {number * 7 % 11}" for number in range(20)]
    table = pa.table({"text": pa.array(values).dictionary_encode(), "place": pa.array(range(20), pa.uint16())})
    pq.write_table(table, "x.parquet", row_group_size=5)
    assert tag("x.parquet", "-o", "y.parquet") == 0
    found = pq.read_table("y.parquet")
    assert found["text"].to_pylist() == values
    assert found.schema.field("text").type == table.schema.field("text").type
    assert found.select(["place"]).equals(table.select(["place"]))


@pytest.mark.parametrize("to", ["jsonl", "conll", "txt", "parquet", "html"])
@pytest.mark.parametrize("source", ["x.txt", "x.jsonl", "x.conll", "x.parquet"])
def test_nothing_in_is_nothing_out(tag: Tag, source: str, to: str) -> None:
    if source == "x.parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string()), "n": pa.array([], pa.int8())}), source)
    else:
        Path(source).write_bytes(b"")
    assert tag(source, "-o", f"y.{to}") == 0
    if to == "parquet":
        found = pq.read_table("y.parquet")
        assert (found.num_rows, found.column_names[0], found.column_names[-1]) == (0, "text", "spans")
        assert ("n" in found.column_names) == (source == "x.parquet")
    elif to == "html":
        assert "No entity was found" in Path("y.html").read_text()
    else:
        assert Path(f"y.{to}").read_bytes() == b""


BAD: list[tuple[str, Any, str]] = [
    ("x.txt", b"ok\nca\xe9", "x.txt:2: not UTF-8 at byte 2 of the line; convert the text to UTF-8 (or pass --errors"),
    ("x.txt", b"PAR1abc", "x.txt:1: is Parquet, not text; pass --from parquet"),
    ("x.jsonl", b'{"text": "a"}\n{"text" "b"}\n', "x.jsonl:2: not JSON: Expecting ':' delimiter at character 8"),
    ("x.jsonl", [{"text": "a"}, {"id": 1, "body": 2}], "x.jsonl:2: no field 'text' (there are: id, body); name"),
    ("x.jsonl", [{"text": 3}], "x.jsonl:1: field 'text' holds 3: must be a text, or a list of words"),
    ("x.jsonl", [{"tokens": ["a", 3]}], "x.jsonl:1: field 'tokens': word 1 (from 0) is 3: must be a nonempty text"),
    ("x.jsonl", ["a"], "x.jsonl:1: not a JSON object: 'a'"),
    ("x.conll", b"Ada\tO\n\n\xff\tO\n", "x.conll:3: not UTF-8 at byte 0"),
    ("x.parquet", {"body": ["a"]}, "x.parquet: row 1: no field 'text' (there are: body); name the text's with --field"),
    ("x.txt.gz", b"\x1f\x8b\x08\x00abc", "x.txt.gz: cut off or damaged"),
]


@pytest.mark.parametrize(
    ("name", "data", "to", "told"),
    [
        *((name, data, "jsonl", told) for name, data, told in BAD),
        (*BAD[0][:2], "html", BAD[0][2]),
        ("x.jsonl", [{"text": "a", "x": 2**70}], "parquet", "x.jsonl:1: field 'x' can't be a Parquet column"),
        ("x.jsonl", [{"text": "a"}, {"tokens": ["a\tb"]}], "conll", "x.jsonl:2: word 'a\\tb' contains a tab or"),
    ],
)
def test_a_fault_is_one_line_that_names_the_place(
    tag: Tag, capsys: Caught, name: str, data: Any, to: str, told: str
) -> None:
    if isinstance(data, dict):
        pq.write_table(pa.table(data), name)
    elif isinstance(data, list):
        write_rows(name, data)
    else:
        Path(name).write_bytes(data)
    assert tag(name, "-o", f"y.{to}") == 1
    err = capsys.readouterr().err
    assert err.startswith(f"nerbert: {told}")
    assert err.count("\n") == 1
    assert ("write JSON lines (--to jsonl)" in err) == (to == "parquet")
    assert {path.name for path in Path().iterdir() if not path.name.startswith(".y.")} == {"tagger", name}


def test_faults_that_are_seen_late_or_before_any_work(
    tag: Tag, capitals: Capitals, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), "x.parquet")
    assert tag("x.parquet", "--json") == 1
    assert "has several columns 'text'" in capsys.readouterr().err
    Path("x.txt").write_text("Ada")
    with monkeypatch.context() as patch:
        patch.setattr(capitals, "sentences", lambda text: iter(()))
        assert tag("x.txt", "--to", "conll") == 1
    assert "x.txt:1: entity 'Ada' is in no sentence, so CoNLL can't hold it" in capsys.readouterr().err
    capitals.seen.clear()
    capitals.head.types.append("work of art")
    assert tag("x.txt", "-o", "y.conll") == 1
    assert "type 'work of art' holds white space" in capsys.readouterr().err
    with raises(SettingsError, "--to html: no page writer was given; pass page=nerbert.render.tags_page.write_page"):
        tag_files(TagJob(tagger="tagger", inputs=("x.txt",), output=Path("y.html")))
    assert not Path("y.html").exists()
    assert capitals.seen == []


def test_bytes_that_are_no_text_are_replaced_on_wish(tag: Tag) -> None:
    pq.write_table(pa.table({"text": [b"Ada\xff"], "n": [1]}), "x.parquet")
    for to in ("jsonl", "parquet"):
        assert tag("x.parquet", "-o", f"z.{to}", "--errors", "replace") == 0
    assert rows("z.jsonl") == pq.read_table("z.parquet").to_pylist()
    assert rows("z.jsonl")[0]["text"] == "Ada\ufffd"


def test_halves_of_characters_go_out_as_they_came(tag: Tag) -> None:
    Path("x.jsonl").write_text('{"text": "Ada \\ud800", "x\\udc00": "\\ud83d\\ude00"}\n')
    assert tag("x.jsonl", "-o", "y.jsonl") == 0
    assert rows("y.jsonl") == [{"text": "Ada \ud800", "x\udc00": "\U0001f600", "spans": [ADA]}]
    for to in ("conll", "txt", "html", "parquet"):
        assert tag("x.jsonl", "-o", f"y.{to}") == 0


@pytest.mark.parametrize("amend", [None, lambda spans, _: spans])
def test_the_bar_counts_each_row_once(capitals: Capitals, monkeypatch: pytest.MonkeyPatch, amend: Amend | None) -> None:
    sizes = list[int]()

    class Bar(Progress):
        def advance(self, items: int = 1, note: str = "", *, size: int = 0, before: bool = False) -> None:
            super().advance(items, note, size=size, before=before)
            sizes.append(size)

    monkeypatch.setattr("nerbert.tagger.jobs.files.progress", lambda *_, **__: nullcontext(Bar()))
    write_rows("x.jsonl", [{"text": text} for text in ("Ada met Bob.", "", "ada\nBob")])
    tag_all(find_sources(["x.jsonl"], "").sources, Path("work"), capitals, HERE, amend=amend)
    assert (len(sizes), sum(sizes)) == (3, Path("x.jsonl").stat().st_size)
