"""Parquet piece by piece."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.corpus.tables import read_batches, writing
from nerbert.errors import InputError

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])


def table(*numbers: int) -> pa.Table:
    return pa.Table.from_pylist([{"a": number, "b": str(number)} for number in numbers], schema=SCHEMA)


def test_what_is_added_is_read(tmp_path: Path) -> None:
    with writing(tmp_path / "a.parquet", SCHEMA) as writer:
        writer.add(table(*range(3000)))
        writer.add(table())
        writer.add(table(7))
        assert not (tmp_path / "a.parquet").exists()
    batches = list(read_batches(tmp_path / "a.parquet", ["a"]))
    assert max(batch.num_rows for batch in batches) <= 2000
    assert [row for batch in batches for row in batch["a"].to_pylist()] == [*range(3000), 7]
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 2


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    with writing(tmp_path / "a.parquet", SCHEMA):
        pass
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)
    assert list(read_batches(tmp_path / "a.parquet")) == []


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "a.parquet", SCHEMA) as writer:
            writer.add(table(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"a\.parquet: not a readable shard .*; build the corpus again"):
        list(read_batches(tmp_path / "a.parquet"))
