"""Look up titles in a memory-mapped Arrow file, which is sorted by the titles' hash.

All workers share the copy in the system's page cache, and pages that nobody needs are never read. A look-up searches
the hashes and then compares the titles, so titles with equal hashes are distinguished. The file is not compressed,
because compressed data cannot be mapped; it is two to three times as large. pyarrow and polars open it directly, DuckDB
through pyarrow.
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
from nerbert.corpus.knowledge.external_sort import Rows, hash_titles
from nerbert.errors import InputError

FORMAT = 1
"""File version, in the metadata; a reader refuses other versions."""
_BATCH = 1 << 16
_ABSENT = -1


class Mapped:
    """The rows of such a file; `facts` is its metadata.

    A file that is truncated, of another version or of another kind raises InputError. Changed bytes inside are not
    detected, because that would require reading the whole file: open only files of this build.
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
        self._schema = schema
        self._batches = [batch for batch in batches if batch.num_rows]
        self._hashes = [batch["hash"].to_numpy() for batch in self._batches]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in batches of up to 65,536 rows."""
        yield from self._batches

    def rows_of(self, titles: Sequence[str]) -> Rows:
        """Return the row of each title, -1 if there is none."""
        hashes, asked = hash_titles(titles), pa.array(titles, pa.string())
        order, found = np.argsort(hashes), np.full(len(titles), _ABSENT, np.int64)
        ordered = hashes[order]
        for batch, known, start in zip(self._batches, self._hashes, self._starts, strict=False):
            first, last = np.searchsorted(ordered, known[0]), np.searchsorted(ordered, known[-1], side="right")
            left, rows = order[first:last], np.searchsorted(known, ordered[first:last])
            while len(left):
                there = known[rows] == hashes[left]
                left, rows = left[there], rows[there]
                equal = pc.equal(batch["title"].take(pa.array(rows)), asked.take(pa.array(left)))
                same = equal.to_numpy(zero_copy_only=False)
                found[left[same]] = start + rows[same]
                left, rows = left[~same], rows[~same] + 1
                left, rows = left[rows < len(known)], rows[rows < len(known)]
        return found

    def take(self, column: str, rows: npt.NDArray[Any]) -> pa.Array:
        """Return a column's values at `rows`, in their order."""
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        ends = pairwise(np.searchsorted(ordered, self._starts).tolist())
        pieces = [
            batch[column].take(pa.array(ordered[first:last] - start))
            for batch, start, (first, last) in zip(self._batches, self._starts, ends, strict=False)
            if first < last
        ]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        if not pieces:
            return pa.array([], self._schema.field(column).type)
        return pa.concat_arrays(pieces).take(pa.array(back))


def write_mapped(tables: Iterable[pa.Table], schema: pa.Schema, facts: Mapping[str, Any], path: Path) -> None:
    """Write sorted rows; the file does not depend on how they were divided into tables."""
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in {"format": FORMAT, **facts}.items()}
    with publish(path) as draft, ipc.new_file(str(draft), schema.with_metadata(metadata)) as writer:
        for batch in _rebatched(tables, schema):
            writer.write_batch(batch)


def _rebatched(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield batches of one size, as copies: a slice would write adjacent memory as padding."""
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
