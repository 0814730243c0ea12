"""Open types as they are published: JSON arrays, CSV and Parquet give the texts that JSON lines give."""

import bz2
import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import InputError
from nerbert.formats.open_types import read_open_types
from nerbert.records import OpenText, Reason
from tests.raised import raises

NUNER = [
    {"input": "The Eiffel Tower is in Paris.", "output": ["Eiffel Tower <> building <> is built", "Rome <> city"]},
    {"input": 'Fram,\n"Nansen"; left\tOslo | home.', "output": ["Fram <> ship", "Oslo <> city", "it's <> x"]},
    {"input": "Nothing is here.", "output": []},
]  # fmt: skip
GLINER = [
    {"tokenized_text": ["New", "York", "is", "big"], "ner": [[0, 1, "city"]]},
    {"tokenized_text": ["Ærø", "漢", "\u2028", "😀"], "ner": [[0, 0, "island"], [1, 1, "sign"]], "negatives": ["x"]},
]


def lines(folder: Path, rows: list[dict[str, Any]]) -> tuple[list[OpenText], Counter[Reason]]:
    """Return what JSON lines give."""
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")
    return read(path)


def read(path: Path) -> tuple[list[OpenText], Counter[Reason]]:
    counts = Counter[Reason]()
    return list(read_open_types(path, counts)), counts


def table(rows: list[dict[str, Any]], delimiter: str = ",", written: Any = str) -> bytes:
    """Return rows as a data frame is written: an index without a name, and a column more."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerow(["", "source", "output", "input"])
    for number, each in enumerate(rows):
        writer.writerow([number, "c4", written(each["output"]), each["input"]])
    return stream.getvalue().encode()


@pytest.mark.parametrize("delimiter", ",;\t|")
@pytest.mark.parametrize("written", [str, json.dumps])
def test_nuners_csv(delimiter: str, written: Any, tmp_path: Path) -> None:
    wanted = lines(tmp_path, NUNER)
    assert wanted[1] == {Reason.NOT_IN_TEXT: 2}
    content = table(NUNER, delimiter, written)
    for name, packed in (("a.csv", content), ("b", b"\xef\xbb\xbf" + content), ("c.csv.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name) == wanted


@pytest.mark.parametrize("written", [list, str, json.dumps])
def test_nuners_parquet(written: Any, tmp_path: Path) -> None:
    wanted = lines(tmp_path, NUNER)
    rows = [each | {"output": written(each["output"]), "date": None, "index": 3.0} for each in NUNER]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet", row_group_size=2)
    assert read(tmp_path / "train-00000-of-00001.parquet") == wanted


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_texts_that_parquet_has_as_bytes(kind: pa.DataType, tmp_path: Path) -> None:
    rows = pa.Table.from_pylist(NUNER)
    table = pa.table({"input": rows["input"].cast(kind), "output": rows["output"].cast(pa.list_(kind))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == lines(tmp_path, NUNER)
    pq.write_table(pa.table({"input": pa.array([b"\xff"], kind), "output": ["[]"]}), tmp_path / "a.parquet")
    with raises(InputError, "row 1: not UTF-8 at byte 0"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("form", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_gliners_array(form: dict[str, Any], tmp_path: Path) -> None:
    wanted = lines(tmp_path, GLINER)
    content = json.dumps(GLINER, **form).encode()
    for name, packed in (("a.json", content), ("b", b"\xef\xbb\xbf \n" + content), ("c.bz2", bz2.compress(content))):
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name) == wanted


def test_arrays_and_parquet_hold_rows_of_any_form(tmp_path: Path) -> None:
    own = {"text": "Oslo", "entities": [{"start": 0, "end": 4, "type": "city"}]}
    (tmp_path / "a.json").write_text(json.dumps([*NUNER, *GLINER, own]))
    assert read(tmp_path / "a.json") == lines(tmp_path, [*NUNER, *GLINER, own])
    said = ["Text: Fram left Oslo.", "I've read this text.", "What describes ship in the text?", '["Fram"]']
    turns = [{"from": ("human", "gpt")[place % 2], "value": value} for place, value in enumerate(said)]
    rows = [{"id": f"ner_{number}", "conversations": turns} for number in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == lines(tmp_path, rows)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"input": "a", "output": []},\n {"input": "a"}]', "a:2: fields input: not a form of open types"),
        ('[{"input": "a", "output": []},\n 7]', "a:2: 7: must be an object"),
        ('[{"input": "a", "output": 1}]', "a:1: 1: must be a valid list"),
        ('[{"input": "a", "output": []}\n', "a:2: not JSON: the end where a comma or ] must be"),
        ('[{"a":' + "[" * 99999, "a:1: not JSON that can be read: too deep, or too long a number"),
        ("[]", "a: holds no text"),
        (b'[{"input": "a", "output": []},\n{"input": "\xff"}]', "a:2: not UTF-8; convert"),
        ("input,output\n\"a\nb\",[]\nc,\n", "a:4: '': must be a valid list"),
        ("input,output\na\n", "a:2: the row has 1 columns, and the header 2; fix it"),
        ('input,output\n"a"b,[]\n', "a:2: a row that can't be read"),
        ("input,output,input\na,[],b\n", "a:1: several columns 'input'; rename all but one"),
        ("input;output\n", "a: holds no text"),
        (b"input,output\n\xff,[]\n", "a:2: not UTF-8 at byte 0 of the line"),
        (b"PAR1\0\1", "a: can't be read as Parquet"),
        (gzip.compress(b"PAR1\0\1", mtime=0), "a: seems to be Parquet; open types are read"),
        (gzip.compress(b'[{"input": "a", "output": []}]', mtime=0)[:-9], "a: cut off or damaged near byte"),
    ],
)  # fmt: skip
def test_messages(content: str | bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with raises(InputError, f"{tmp_path}/{words}"):
        read(path)


def test_broken_rows_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for rows, words in (
        ([{"input": "a", "output": "b"}], "row 1: 'b': must be a valid list"),
        (
            [{"input": "a", "output": "[]"}, {"input": None, "output": "[]"}],
            "row 2: None: must be a valid string",
        ),
        ([{"input": "a", "outputs": "b"}], "has the columns 'input', 'outputs'; open types in Parquet have input"),
    ):
        pq.write_table(pa.Table.from_pylist(rows), path)
        with raises(InputError, f"{path}: {words}"):
            read(path)
    pq.write_table(pa.table({"input": pa.array([], pa.string()), "output": pa.array([], pa.string())}), path)
    with raises(InputError, "a.parquet: holds no text"):
        read(path)
