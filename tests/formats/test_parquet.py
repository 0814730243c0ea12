from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import InputError
from nerbert.formats.columns import Parquet
from nerbert.formats.parquet import SPAN_LIST, joined_schema, read_batches, table_of, write_parquet
from nerbert.formats.rows import SPANS, Stream
from nerbert.records import Document, Repairs, Span
from tests.raised import raises


def texts(path: Path, field: str = "text", errors: str = "strict") -> list[Document]:
    """The texts of a file, to be tagged."""
    return list(Parquet().read(Stream(str(path), lambda: path.open("rb"), field, errors, path), Repairs()))


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    assert table_of([{"a\ud800": ["b\udc00"]}]).to_pylist() == [{"a\ufffd": ["b\ufffd"]}]
    rows = [Document("\ud800b", (Span(0, 2, "x", "\ud800b"),), fields={"text": ""}), Document("", fields={"text": ""})]
    write_parquet(tmp_path / "x", rows, "x")
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
    monkeypatch.setattr("nerbert.formats.parquet._MOST_ROWS", 3)
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


def test_schemas_are_joined() -> None:
    found = joined_schema(table_of([{"a": 1, "b": None}]).schema, table_of([{"c": "x", "b": ["y"], "a": 0.5}]).schema)
    assert found == pa.schema([("a", pa.float64()), ("b", pa.list_(pa.string())), ("c", pa.string())])
    with raises(InputError, "Field a has incompatible types: int64 vs string"):
        joined_schema(table_of([{"a": 1}]).schema, table_of([{"a": "1"}]).schema)


def test_columns_that_json_cannot_hold_are_no_fault_of_the_texts(tmp_path: Path) -> None:
    columns = {
        "other": pa.array([b"\xff"], pa.binary()).view(pa.string()), "when": pa.array([10**14], pa.timestamp("s")),
    }  # fmt: skip
    for name, words in (("other", "should hold text holds other bytes"), ("when", "values that JSON can't: days=")):
        pq.write_table(pa.table({"text": ["a"], name: columns[name]}), tmp_path / "x")
        rows = texts(tmp_path / "x")
        write_parquet(tmp_path / "y", rows, "y")
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
