from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.parquet import SPAN_LIST, joined_schema, read_batches, read_parquet, table_of, write_parquet
from nerbert.records import Example, Span
from tests.formats.annotated import examples


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parquet") / "x.parquet"


def whole(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def without_halves(example: Example) -> Example:
    """As Parquet has it."""
    spans = tuple(Span(s.start, s.end, whole(s.type), whole(s.text), s.confidence) for s in example.spans)
    return Example(whole(example.text), example.words, spans)


@given(st.lists(examples(), max_size=4))
def test_round_trip(place: Path, made: list[Example]) -> None:
    write_parquet(place, made)
    assert list(read_parquet(place)) == [without_halves(each) for each in made]
    assert pq.read_schema(place).field("spans").type == SPAN_LIST


def test_pandas_reads_it(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x", [Example("Ada slept", ((0, 3), (4, 9)), (Span(0, 3, "x", "Ada"),))])
    frame = pd.read_parquet(tmp_path / "x")
    assert list(frame.columns) == ["text", "words", "spans"]
    assert frame.spans[0][0] == {"text": "Ada", "type": "x", "start": 0, "end": 3, "confidence": 1.0}


def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    made = [Example(f"Ada {number}", ((0, 3),)) for number in range(25_000)]
    write_parquet(tmp_path / "x", made)
    assert pq.read_metadata(tmp_path / "x").num_row_groups == 3
    assert list(read_parquet(tmp_path / "x")) == made


@pytest.mark.parametrize(("size", "most"), [(10, 2000), (100_000, 3), (3_000_000, 1)])
def test_batches_are_smaller_where_texts_are_larger(tmp_path: Path, size: int, most: int) -> None:
    rows = max(2, 3_000_000 // size)
    table = pa.table({"text": [f"{number}{'x' * size}"[:size] for number in range(rows)]})
    pq.write_table(table, tmp_path / "x", compression="zstd", use_dictionary=False)
    found = [len(batch) for batch in read_batches(tmp_path / "x")]
    assert sum(found) == rows
    assert max(found) <= most


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"text": ["a", "b"], "spans": [[], None]}, "x: row 2: field 'spans' holds None"),
        ({"text": ["a", None], "spans": [[], []]}, "x: row 2: no text in column 'text' (null)"),
        ({"text": [b"\xff"], "spans": [[]]}, "x: row 1: not UTF-8 at byte 0"),
        ({"text": ["a"]}, "x: row 1: field 'spans' holds None"),
    ],
)
def test_faults_name_the_row(tmp_path: Path, columns: dict[str, list[object]], told: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "x")
    with pytest.raises(InputError) as caught:
        list(read_parquet(tmp_path / "x"))
    assert told in str(caught.value)


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: can't be read as Parquet: "):
        list(read_parquet(tmp_path / "none"))
    pq.write_table(pa.table({"text": ["a" * 100]}), tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(data[:4] + bytes(60) + data[64:])
    with pytest.raises(InputError, match="x: can't be read as Parquet: "):
        list(read_parquet(tmp_path / "x"))


def test_schemas_are_joined() -> None:
    found = joined_schema(table_of([{"a": 1, "b": None}]).schema, table_of([{"c": "x", "b": ["y"], "a": 0.5}]).schema)
    assert found == pa.schema([("a", pa.float64()), ("b", pa.list_(pa.string())), ("c", pa.string())])
    with pytest.raises(InputError, match="Field a has incompatible types: int64 vs string"):
        joined_schema(table_of([{"a": 1}]).schema, table_of([{"a": "1"}]).schema)
