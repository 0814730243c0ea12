"""Parquet piece by piece."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.corpus.shards import read_batches, write_grouped, writing
from nerbert.errors import InputError
from tests.raised import raises

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])


def table(*numbers: int) -> pa.Table:
    return pa.Table.from_pylist([{"a": number, "b": str(number)} for number in numbers], schema=SCHEMA)


def test_what_is_added_is_read(tmp_path: Path) -> None:
    with writing(tmp_path / "a.parquet", SCHEMA) as add:
        add(table(*range(3000)))
        add(table())
        add(table(7))
        assert not (tmp_path / "a.parquet").exists()
    batches = list(read_batches(tmp_path / "a.parquet", ["a"]))
    assert max(batch.num_rows for batch in batches) <= 2000
    assert [row for batch in batches for row in batch["a"].to_pylist()] == [*range(3000), 7]
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 2


def test_a_file_without_rows_has_its_columns_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    with writing(tmp_path / "a.parquet", SCHEMA):
        pass
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)
    assert list(read_batches(tmp_path / "a.parquet")) == []
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with raises(InputError, "a.parquet: not a readable shard "):
        list(read_batches(tmp_path / "a.parquet"))


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "a.parquet", SCHEMA) as add:
            add(table(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [[], [3], [10_000], [4_000] * 6, [25_000, 1], [0, 9_999, 2]])
def test_row_groups_are_full_whatever_the_tables_sizes(tmp_path: Path, sizes: list[int]) -> None:
    schema = pa.schema([("n", pa.int64())])
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    tables = [pa.table({"n": range(start, start + size)}, schema) for start, size in zip(starts, sizes, strict=True)]
    write_grouped(tables, tmp_path / "t.parquet", schema)
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert file.read()["n"].to_pylist() == list(range(sum(sizes)))
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert all(size == 10_000 for size in groups[:-1])
    assert sum(groups) == sum(sizes)
