"""Write and read Parquet in pieces, so that file size is no limit; a file appears only when it is complete.

Row groups are as large as the tables that are added (10,000 rows at most).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.artifacts import publish
from nerbert.errors import InputError

_GROUP, _BATCH = 10_000, 2_000


class TableWriter:
    """Takes tables of one schema, one after the other."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        if table.num_rows:
            self._writer.write_table(table, row_group_size=_GROUP)


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Provide a writer whose file becomes `path` when the block ends without error."""
    with publish(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        yield TableWriter(writer)


def write_grouped(tables: Iterable[pa.Table], path: Path, schema: pa.Schema) -> None:
    """Write tables as one file, in row groups of 10,000 rows whatever their sizes."""
    held: list[pa.Table] = []
    with writing(path, schema) as writer:
        for table in tables:
            held.append(table)
            if sum(map(len, held)) >= _GROUP:
                whole = pa.concat_tables(held)
                full = len(whole) // _GROUP * _GROUP
                writer.add(whole.slice(0, full).combine_chunks())
                held = [whole.slice(full)]
        writer.add(pa.concat_tables([schema.empty_table(), *held]).combine_chunks())


def read_batches(path: Path, columns: Sequence[str] | None = None, rows: int = _BATCH) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows, a few thousand (at most `rows`) at a time; raise InputError if it is damaged."""
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(rows, columns=list(columns) if columns else None)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise InputError(f"{path}: not a readable shard ({error}); build the corpus again") from error
