"""Sort rows by the hash of a title on disk, with little memory.

Rows are cut into runs of bounded size; each run is sorted and written. Then the same range of hashes is read from every
run; ranges are small enough to fit in memory. Rows are ordered by hash, title and the next column, so the order does
not depend on the runs. The cost: every row is written twice and read twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from nerbert.artifacts import publish

_RUN_ROWS, _RUN_CHARACTERS = 1 << 17, 1 << 24
"""Limits of a run: its rows, and the characters of its titles."""
_RANGE_BYTES = 1 << 25
_HASH_BITS = 64

Hashes: TypeAlias = npt.NDArray[np.uint64]
Rows: TypeAlias = npt.NDArray[np.int64]
Reduce: TypeAlias = Callable[[pa.Table], pa.Table]
"""Reduces sorted rows, in which rows of one title are adjacent; it is applied to runs, then to ranges."""

HASHED = [("hash", pa.uint64()), ("title", pa.string())]
"""The first columns of all such rows."""


def hash_titles(titles: Iterable[str]) -> Hashes:
    """Hash each title in UTF-8 with BLAKE2b: 8 bytes of digest, read as a big-endian number."""
    digests = b"".join(blake2b(title.encode(), digest_size=8).digest() for title in titles)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def starts_of(*columns: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return for each sorted row whether it differs from the previous row in one of `columns`."""
    new = np.ones(len(columns[0]), dtype=np.bool_)
    if len(new) > 1:
        differ = [pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)) for column in columns]
        new[1:] = np.logical_or.reduce([each.to_numpy() for each in differ])
    return new


def spill(rows: Iterable[Sequence[Any]], schema: pa.Schema, folder: Path, reduce: Reduce) -> list[Path]:
    """Write `rows` as sorted runs in `folder` and return their paths; `schema` has the row's columns, title first."""
    paths = []
    for number, some in enumerate(_some(rows)):
        paths.append(folder / f"run-{number:05d}.arrow")
        columns = [pa.array(column, field.type) for column, field in zip(zip(*some, strict=True), schema, strict=True)]
        write_run(pa.table(columns, schema), paths[-1], reduce)
    return paths


def write_run(rows: pa.Table, path: Path, reduce: Reduce) -> None:
    """Write rows whose first column is a title as one sorted run."""
    hashes = pa.array(hash_titles(rows["title"].to_pylist()), pa.uint64())
    table = reduce(_sorted(rows.add_column(0, "hash", hashes))).combine_chunks()
    with publish(path) as draft, ipc.new_file(str(draft), table.schema) as writer:
        writer.write_table(table)


def range_bits(runs: Iterable[Path]) -> int:
    """Return how many leading bits of the hash select a range; 0, so one range, if all rows fit in memory."""
    size = sum(path.stat().st_size for path in runs)
    return max(0, (size - 1) // _RANGE_BYTES).bit_length()


def read_range(runs: Iterable[Path], number: int, bits: int, reduce: Reduce) -> pa.Table:
    """Return the rows of all runs whose hash begins with the `bits` bits of `number`, sorted and reduced."""
    pieces = [_slice(path, number, bits) for path in runs]
    return reduce(_sorted(pa.concat_tables(pieces))) if pieces else pa.table({})


def read_ranges(runs: Sequence[Path], reduce: Reduce) -> Iterator[pa.Table]:
    """Yield all rows in order, one range at a time; skip empty ranges."""
    bits = range_bits(runs)
    for number in range(1 << bits):
        table = read_range(runs, number, bits, reduce)
        if table.num_rows:
            yield table


def _some(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    some: list[Sequence[Any]] = []
    characters = 0
    for row in rows:
        some.append(row)
        characters += len(row[0])
        if len(some) >= _RUN_ROWS or characters >= _RUN_CHARACTERS:
            yield some
            some, characters = [], 0
    if some:
        yield some


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in table.column_names[:3]]).combine_chunks()


def _slice(path: Path, number: int, bits: int) -> pa.Table:
    """Return a copy of one run's range, so that the run does not stay mapped."""
    with pa.memory_map(str(path)) as source:
        table = ipc.open_file(source).read_all()
        hashes = table["hash"].combine_chunks().to_numpy()
        ends = [each << (_HASH_BITS - bits) for each in (number, number + 1)]
        first, last = (np.searchsorted(hashes, np.uint64(end)) if end >> _HASH_BITS == 0 else len(hashes)
                       for end in ends)  # fmt: skip
        return table.slice(first, last - first).take(np.arange(last - first))
