"""A table by title that is looked into where it lies: an Arrow file, sorted by the titles' hash and memory-mapped.

The choice: all workers share the one copy that the system keeps in memory, and pages that nobody asks for are never
read. A look-up searches the hashes and then compares the titles themselves, so that titles with the same hash are told
apart. Uncompressed, since what is packed can't be mapped: the price is a file two to three times as large.
pyarrow and polars open it as it is, DuckDB through pyarrow.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from nerbert.artifacts import publish
from nerbert.corpus.knowledge.external_sort import Hashes, Rows, hash_titles
from nerbert.errors import InputError

FORMAT = 1
"""Version of such files, in their metadata; a reader refuses others."""
_BATCH = 1 << 16
_ABSENT = -1


class Mapped:
    """The rows of such a file; `facts` are what its metadata holds.

    What is cut off, of another version or no such file raises InputError. Bytes that changed inside are not looked for,
    since that would mean to read all: open only what this build has written.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        try:
            reader = ipc.open_file(pa.memory_map(str(path)))
            batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            for batch in batches:
                batch.validate()
            metadata = reader.schema.metadata or {}
            self.facts: dict[str, Any] = {key.decode(): json.loads(value) for key, value in metadata.items()}
        except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not a readable table ({error}); build the corpus again") from error
        if not reader.schema.equals(schema) or self.facts.get("format") != FORMAT:
            raise InputError(f"{path}: not a table of this version ({FORMAT}); build the corpus again")
        self._batches = [batch for batch in batches if batch.num_rows]
        self._hashes = [batch["hash"].to_numpy() for batch in self._batches]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, some hundred thousand at a time."""
        yield from self._batches

    def rows_of(self, titles: Sequence[str]) -> Rows:
        """The row of each title, -1 where there is none."""
        hashes, asked = hash_titles(titles), pa.array(titles, pa.string())
        rows, found = self._first_at_least(hashes), np.full(len(titles), _ABSENT, np.int64)
        left = np.arange(len(titles))
        while len(left := left[self._have(rows[left], hashes[left])]):
            equal = pc.equal(self.take("title", rows[left]), asked.take(pa.array(left)))
            same = equal.to_numpy(zero_copy_only=False)
            found[left[same]] = rows[left[same]]
            left = left[~same]
            rows[left] += 1
        return found

    def take(self, column: str, rows: npt.NDArray[Any]) -> pa.Array:
        """The values of a column in some rows, in their order."""
        order = np.argsort(rows, kind="stable")
        pieces = [self._batches[number][column].take(pa.array(local)) for number, local in self._split(rows[order])]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.concat_arrays(pieces).take(pa.array(back)) if pieces else pa.array([], self._type(column))

    def _type(self, column: str) -> pa.DataType:
        return self._batches[0].schema.field(column).type if self._batches else pa.null()

    def _first_at_least(self, hashes: Hashes) -> Rows:
        """The first row whose hash is not below each of `hashes`; the number of rows if all are."""
        order = np.argsort(hashes)
        ordered, rows = hashes[order], np.full(len(hashes), len(self), np.int64)
        begin = 0
        for known, start in zip(self._hashes, self._starts, strict=False):
            end = int(np.searchsorted(ordered, known[-1], side="right"))
            rows[order[begin:end]] = start + np.searchsorted(known, ordered[begin:end])
            begin = end
        return rows

    def _have(self, rows: Rows, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each row is there and has that hash."""
        order = np.argsort(rows, kind="stable")
        order = order[: np.searchsorted(rows[order], len(self))]
        pieces = [self._hashes[number][local] for number, local in self._split(rows[order])]
        have = np.zeros(len(rows), np.bool_)
        have[order] = np.concatenate([np.empty(0, np.uint64), *pieces]) == hashes[order]
        return have

    def _split(self, ordered: npt.NDArray[Any]) -> Iterator[tuple[int, Rows]]:
        """Ascending rows by batch: its number, and the rows counted within it."""
        ends = np.searchsorted(ordered, self._starts)
        for number, (first, last) in enumerate(pairwise(ends.tolist())):
            if first < last:
                yield number, ordered[first:last] - self._starts[number]


def write_mapped(tables: Iterable[pa.Table], schema: pa.Schema, facts: Mapping[str, Any], path: Path) -> None:
    """Write sorted rows; where they were cut into tables leaves no trace in the file."""
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in {"format": FORMAT, **facts}.items()}
    with publish(path) as draft, ipc.new_file(str(draft), schema.with_metadata(metadata)) as writer:
        for batch in _rebatched(tables, schema):
            writer.write_batch(batch)


def _rebatched(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of one size; each a copy, since what pads a slice in the file is whatever follows it in memory."""
    rest = schema.empty_table()
    for table in tables:
        rest = pa.concat_tables([rest, table.cast(schema)]).combine_chunks()
        whole = rest.num_rows // _BATCH * _BATCH
        for start in range(0, whole, _BATCH):
            yield from _copy(rest.slice(start, _BATCH))
        rest = rest.slice(whole)
    yield from _copy(rest)


def _copy(table: pa.Table) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = table.take(pa.array(np.arange(table.num_rows))).combine_chunks().to_batches()
    return batches
