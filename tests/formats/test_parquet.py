"""Parquet: texts to tag, rows that are written, and columns as annotated data."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import InputError
from nerbert.formats.arrow_rows import SPAN_LIST, read_batches, table_of, write_parquet
from nerbert.formats.lines import SPANS, Stream
from nerbert.formats.parquet import Parquet
from nerbert.records import Document, Repair, Repairs, Span
from tests.raised import raises


def texts(path: Path, field: str = "text", errors: str = "strict") -> list[Document]:
    """The texts of a file, to be tagged."""
    return list(Parquet().read(Stream(str(path), lambda: path.open("rb"), field, errors, path), Repairs()))


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    assert table_of([{"a\ud800": ["b\udc00"]}]).to_pylist() == [{"a\ufffd": ["b\ufffd"]}]
    rows = [Document("\ud800b", (Span(0, 2, "x", "\ud800b"),), fields={"text": ""}), Document("", fields={"text": ""})]
    write_parquet(tmp_path / "x", lambda: rows, "x")
    column = pq.read_table(tmp_path / "x")[SPANS]
    assert column.type == SPAN_LIST
    assert column.to_pylist() == [[{"text": "\ufffdb", "type": "x", "start": 0, "end": 2, "confidence": 1.0}], []]


@pytest.mark.parametrize(("size", "most"), [(10, 2000), (100_000, 3), (3_000_000, 1)])
def test_batches_are_smaller_where_texts_are_larger(tmp_path: Path, size: int, most: int) -> None:
    rows = max(2, 3_000_000 // size)
    table = pa.table({"text": [f"{number}{'x' * size}"[:size] for number in range(rows)]})
    pq.write_table(table, tmp_path / "x", compression="zstd", use_dictionary=False)
    found = [len(batch) for batch in read_batches(tmp_path / "x")]
    assert sum(found) == rows
    assert max(found) <= most


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", None], "row 2: field 'text' holds None: must be a text"),
        (["a", "b", "c", b"\xff"], "row 4: not UTF-8 at byte 0"),
        ([1], "row 1: field 'text' holds 1: must be a text, or a list of words"),
    ],
)
def test_messages(tmp_path: Path, values: list[object], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.formats.arrow_rows._MOST_ROWS", 3)
    if b"\xff" in values:
        values = [each.encode() if isinstance(each, str) else each for each in values]
    pq.write_table(pa.table({"text": values}), tmp_path / "x")
    with raises(InputError, f"{tmp_path / 'x'}: {words}"):
        texts(tmp_path / "x")


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    with raises(InputError, "none: can't be read as Parquet: "):
        list(read_batches(tmp_path / "none"))
    pq.write_table(pa.table({"text": ["a" * 100]}), tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(data[:4] + bytes(60) + data[64:])
    with raises(InputError, "x: can't be read as Parquet: "):
        list(read_batches(tmp_path / "x"))


def test_fields_of_several_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.formats.arrow_rows._MOST_ROWS", 1)
    rows = [Document("x", fields={"text": "x", "a": value}) for value in (1, 0.5, "1")]
    write_parquet(tmp_path / "x", lambda: rows[:2], "x")
    assert pq.read_table(tmp_path / "x")["a"].to_pylist() == [1.0, 0.5]
    with raises(InputError, "Field a has incompatible types: double vs string"):
        write_parquet(tmp_path / "x", lambda: rows, "x")


def test_columns_that_json_cannot_hold_are_no_fault_of_the_texts(tmp_path: Path) -> None:
    columns = {
        "other": pa.array([b"\xff"], pa.binary()).view(pa.string()),
        "when": pa.array([10**14], pa.timestamp("s")),
    }
    for name, words in (("other", "should hold text holds other bytes"), ("when", "values that JSON can't: days=")):
        pq.write_table(pa.table({"text": ["a"], name: columns[name]}), tmp_path / "x")
        rows = texts(tmp_path / "x")
        write_parquet(tmp_path / "y", rows.__iter__, "y")
        assert pq.read_table(tmp_path / "y")[name].chunk(0) == pq.read_table(tmp_path / "x")[name].chunk(0)
        with raises(InputError, words):
            dict(rows[0].fields)


def test_bytes_are_replaced_in_words_too(tmp_path: Path) -> None:
    words = pa.ListArray.from_arrays([0, 2, 2], pa.array([b"a\xff", b"b"], pa.binary()).view(pa.string()))
    pq.write_table(pa.table({"words": words}), tmp_path / "x")
    rows = texts(tmp_path / "x", "words", "replace")
    assert [row.text for row in rows] == ["a\ufffd b", ""]
    with raises(InputError, "row 1: not UTF-8 at byte 1"):
        texts(tmp_path / "x", "words")


ADA = [(0, 12, "person", "Ada Lovelace")]
TOKENS = ["Ada", "Lovelace", "slept"]


def spans(document: Document) -> list[tuple[int, int, str, str]]:
    return [(each.start, each.end, each.type, document.text[each.start : each.end]) for each in document.spans]


def documents(path: Path, rows: list[dict[str, Any]]) -> tuple[list[Document], Repairs]:
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert Parquet().recognise(path, path.read_bytes())
    repairs = Repairs()
    return list(Parquet().read(path, repairs)), repairs


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Ada Lovelace slept", "spans": [{"start": 0, "end": 12, "type": "person"}]},
        {"text": "Ada Lovelace slept", "entities": {"start": [0], "end": [12], "label": ["person"]}},
        {"tokens": TOKENS, "ner_tags": ["B-person", "I-person", "O"]},
        {"tokens": TOKENS, "labels": ["B-person", "E-person", "O"]},
        {"words": TOKENS, "tags": ["B-person", "E-person", "O"]},
        {"text": "Ada Lovelace slept", "tokens": TOKENS, "ner_tags": ["B-person", "L-person", "O"]},
    ],
)
def test_columns_of_spans_and_of_tags(tmp_path: Path, row: dict[str, Any]) -> None:
    other = {"sentence": 7, "when": None, "note": ["a"]}
    (found, empty), repairs = documents(tmp_path / "a", [{**row, **other}, {**row, **other, "sentence": 8}])
    assert (found.text, spans(found), found.line) == ("Ada Lovelace slept", ADA, 1)
    assert found.words == (((0, 3), (4, 12), (13, 18)) if {"tokens", "words"} & set(row) else None)
    assert (found.fields, empty.fields["sentence"]) == ({"sentence": 7, "note": ["a"]}, 8)
    assert repairs.total() == 0


def test_a_null_of_spans_is_no_entity(tmp_path: Path) -> None:
    row = {"text": "Ada", "spans": [{"start": 0, "end": 3, "type": "person"}]}
    one, other = documents(tmp_path / "a", [{"text": "Ada", "spans": None}, row])[0]
    assert (one.spans, spans(other)) == ((), [(0, 3, "person", "Ada")])


def test_the_scheme_is_that_of_the_whole_file(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b"], "tags": tags} for tags in (["I-x", "O"], ["B-x", "I-x"])]
    found, repairs = documents(tmp_path / "a", rows)
    assert [len(each.spans) for each in found] == [1, 1]
    assert repairs == {Repair.TAG: 1}


def with_features(table: pa.Table, features: dict[str, Any]) -> pa.Table:
    """The table, its columns described as `datasets` does."""
    info = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": info})


def class_label(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


PERSON = class_label("O", "B-person", "I-person")


def test_labels_have_the_names_that_datasets_gives_them(tmp_path: Path) -> None:
    features = {"ner_tags": {"feature": PERSON, "_type": "List"}, "kind": class_label("a", "b")}
    table = pa.table({"tokens": [TOKENS], "ner_tags": [[1, 2, 0]], "kind": [1]})
    pq.write_table(with_features(table, features), tmp_path / "a.parquet")
    (one,) = Parquet().read(tmp_path / "a.parquet", Repairs())
    assert (spans(one), one.fields) == (ADA, {"kind": "b"})
    nested = {
        "entities": {"feature": {"start": {"dtype": "int32", "_type": "Value"}, "label": PERSON}, "_type": "List"}
    }
    table = pa.table({"text": ["Ada"], "entities": [[{"start": 0, "end": 3, "label": 1}]]})
    pq.write_table(with_features(table, nested), tmp_path / "a.parquet")
    (one,) = Parquet().read(tmp_path / "a.parquet", Repairs())
    assert spans(one) == [(0, 3, "B-person", "Ada")]


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ([{"tokens": ["a"], "tags": [1]}], 1, "field 'tags' has tags as numbers (1), but the file lacks"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["Q-x"]}], 2, "tag 'Q-x': must be"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["O", "O"]}], 2, "2 tags for 1 tokens"),
        ([{"name": "a", "age": 1}], 1, "an object with name: 'a', age: 1; is not a text and spans"),
        ([{"text": "a", "spans": [{"start": 0, "type": "x"}]}], 1, "must have start and end"),
    ],
)
def test_messages_of_rows(tmp_path: Path, rows: list[dict[str, Any]], line: int, words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a", line=line):
        documents(tmp_path / "a", rows)


def test_labels_out_of_range_are_told(tmp_path: Path) -> None:
    features = {"tags": {"feature": class_label("O"), "_type": "List"}}
    pq.write_table(with_features(pa.table({"tokens": [["a"]], "tags": [[5]]}), features), tmp_path / "a")
    with raises(InputError, "a:1: column 'tags' holds label 5: the file names 1 labels"):
        list(Parquet().read(tmp_path / "a", Repairs()))
