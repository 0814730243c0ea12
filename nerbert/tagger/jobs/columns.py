"""Tagged rows as Parquet: the input's columns as they are, and `spans`.

Each part is a Parquet file. Columns of JSON's fields get their types from the values of each part, and the whole file
types that take all of them; fields that no type takes are told as soon as the part with the second kind is done.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.errors import InputError, at
from nerbert.formats.parquet import SPAN_LIST, joined_schema, read_batches, spans_column, table_of
from nerbert.formats.rows import SPANS, TEXT
from nerbert.records import Span
from nerbert.tagger.jobs.inputs import Block
from nerbert.tagger.spans import utf16_spans

_GROUP_ROWS, _GROUP_BYTES = 10_000, 1 << 25


class ParquetOutput:
    """One Parquet file; offsets in characters or UTF-16 units."""

    def __init__(self, *, utf16: bool) -> None:
        self._utf16, self._schema = utf16, pa.schema([])

    def part(self, block: Block, found: Sequence[Sequence[Span]], path: Path) -> None:
        """Write the rows of one block."""
        counted = found
        if self._utf16:
            counted = [utf16_spans(row.text, spans) for row, spans in zip(block.rows, found, strict=True)]
        with at(block.name, part=f"rows from {block.rows[0].number if block.rows else 0} on"):
            table = _table(block).append_column(pa.field(SPANS, SPAN_LIST), spans_column(counted))
            _write(table, path)

    def check(self, part: Path) -> None:
        """Join the part's columns to those of the parts before."""
        self._schema = joined_schema(self._schema, pq.read_schema(part))

    def whole(self, parts: Sequence[Path], target: Path, entities: Mapping[str, int]) -> None:
        """Write all rows into one file."""
        schema = self._schema if parts else pa.schema([(TEXT, pa.string()), (SPANS, SPAN_LIST)])
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for table in _groups(parts, schema):
                writer.write_table(table)


def _table(block: Block) -> pa.Table:
    """Return the rows' own columns, without entities that they had."""
    if block.batch is None:
        return table_of([{name: each for name, each in row.fields.items() if name != SPANS} for row in block.rows])
    table = pa.Table.from_batches([block.batch])
    if any(row.fields for row in block.rows) and TEXT not in table.column_names:
        table = table.append_column(TEXT, pa.array([row.text for row in block.rows], pa.string()))
    return table.drop_columns([SPANS]) if SPANS in table.column_names else table


def _write(table: pa.Table, path: Path) -> None:
    try:
        pq.write_table(table, path, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise InputError(f"{error}; write JSON lines (--to jsonl)") from error


def _groups(parts: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of all parts in tables of some megabytes, each with all columns; missing fields are empty."""
    held = [schema.empty_table()]
    for part in parts:
        for batch in read_batches(part):
            held.append(pa.Table.from_batches([batch]))
            if sum(map(len, held)) >= _GROUP_ROWS or sum(table.nbytes for table in held) >= _GROUP_BYTES:
                yield _joined(held)
                held = held[:1]
    yield _joined(held)


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise InputError(f"{error}; such fields can't be one Parquet column: write JSON lines") from error
