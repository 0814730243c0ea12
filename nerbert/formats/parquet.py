"""Parquet: one text per row, its entities in the column `spans`; read and written in batches, for any size.

Texts are decoded here, because files that claim UTF-8 do not always contain it. Cost: lone surrogates become
U+FFFD.
"""

import base64
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.errors import InputError, at, refused
from nerbert.formats.jsonl import text_of
from nerbert.formats.rows import ERRORS, SPANS, TEXT, TOKENS, Block, decoded, span_json
from nerbert.records import Document

_BATCH_BYTES, _MOST_ROWS = 1 << 18, 2_000
_SURROGATE = re.compile("[\ud800-\udfff]")
SPAN_LIST = pa.list_(
    pa.struct(
        [("text", pa.string()), ("type", pa.string()), ("start", pa.int32()), ("end", pa.int32()),
         ("confidence", pa.float64())]
    )
)  # fmt: skip
"""The type of the column `spans`."""
_SPANS = pa.field(SPANS, SPAN_LIST)


def parquet_blocks(path: Path, field: str, errors: str) -> Iterator[Block]:
    """Yield the rows of a file, their texts (or words) in the column `field`, one block per batch.

    With `errors` = `replace` bytes that are no UTF-8 become U+FFFD in the texts, and in their column. The rows' fields
    are their texts; other columns are in the block's batch, and may hold values that JSON can't.
    """
    with _reading(path):
        row_size = path.stat().st_size / max(1, pq.read_metadata(path).num_rows)
    first = 1
    for batch in read_batches(path):
        block = block_of(batch, str(path), field, errors, first)
        yield replace(block, size=round(row_size * len(block.rows)))
        first += len(block.rows)


def block_of(batch: pa.RecordBatch, name: str, field: str, errors: str = ERRORS[0], first: int = 1) -> Block:
    """Return the rows of a batch; `name` and the number of the `first` row are for messages."""
    with at(name):
        mended, rows = _mended(batch, field, first, errors), list[Document]()
        for number, fields in enumerate(plain_rows(_texts(mended, field)), first):
            with at(part=f"row {number}"):
                rows.append(text_of(fields, field, number))
    return Block(name, rows, batch=batch if errors == "strict" else mended)


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in batches of a few hundred kilobytes.

    A file without rows gives one empty batch.
    """
    with _reading(path), pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if repeated := next((name for place, name in enumerate(names) if name in names[:place]), ""):
            raise InputError(f"{path}: has several columns {repeated!r}; rename all but one")
        yield from file.iter_batches(_rows_of(file.metadata))
        if not file.metadata.num_rows:
            yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)


def _reading(path: Path) -> AbstractContextManager[None]:
    return refused(f"{path}: can't be read as Parquet")


def _mended(batch: pa.RecordBatch, field: str, first: int, errors: str) -> pa.RecordBatch:
    """Return the rows with the column of texts decoded, if it is one; `first` is the number of the first row."""
    place = batch.schema.get_field_index(field)
    kind = batch.schema.types[place] if place >= 0 else pa.null()
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if place < 0 or (pa.types.is_nested(kind) and not lists):
        return batch
    wanted = [pa.large_list(each) if lists else each for each in (pa.large_binary(), pa.large_string())]
    try:
        values = batch.column(place).cast(wanted[0]).to_pylist()
    except pa.ArrowException:
        return batch
    texts = []
    for number, value in enumerate(values, first):
        with at(part=f"row {number}"):
            texts.append([_decoded(each, errors) for each in value] if value and lists else _decoded(value, errors))
    return batch.set_column(place, field, pa.array(texts, wanted[1]))


def _decoded(value: Any, errors: str) -> Any:
    return decoded(value, 0, errors) if isinstance(value, bytes) else value


def _texts(batch: pa.RecordBatch, field: str) -> pa.RecordBatch:
    """Return the column that has the texts; all columns if none has, so that an error names them."""
    there = [name for name in ((field, TOKENS) if field == TEXT else (field,)) if name in batch.schema.names]
    return batch.select(there[:1]) if there else batch


def plain_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows in JSON types: dates and decimals as text, bytes in base64, NaN and infinities as null."""
    try:
        return [_plain(row) for row in batch.to_pylist()]
    except UnicodeDecodeError as error:
        raise InputError(f"a column that should hold text holds other bytes ({error.reason}); fix it") from None
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(f"a column holds values that JSON can't: {error!s:.120}; choose --to parquet") from None


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return JSON objects as columns, one for each name in any of them; the types follow from the values."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        try:
            columns[_whole(name)] = _column([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"field {name!r} can't be a Parquet column: {reason:.120}; write JSON lines (--to jsonl)"
            ) from error
    return pa.table(columns)


def write_parquet(path: Path, blocks: Iterable[Block]) -> None:
    """Write blocks, which are read twice, each as a row group.

    Columns are those of all blocks, and missing fields are empty. Raise InputError for fields that no type takes.
    """
    schema = pa.schema([])
    for block in blocks:
        with at(block.name, block.rows[0].line if block.rows else None):
            schema = joined_schema(schema, _table(block).schema)
    empty = (schema if schema.names else pa.schema([(TEXT, pa.string())])).append(_SPANS).empty_table()
    try:
        with pq.ParquetWriter(path, empty.schema, compression="zstd") as writer:
            for block in blocks:
                whole = pa.concat_tables([empty, tagged_table(block)], promote_options="permissive")
                writer.write_table(whole.combine_chunks())
    except pa.ArrowNotImplementedError as error:
        with at(block.name):
            raise InputError(f"{error}; write JSON lines (--to jsonl)") from error


def tagged_table(block: Block) -> pa.Table:
    """Return the rows with their entities in the column `spans`, in place of earlier ones."""
    spans = _column([[span_json(span) for span in row.spans] for row in block.rows], SPAN_LIST)
    return _table(block).append_column(_SPANS, spans)


def joined_schema(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """Return a schema for the rows of both: integers and doubles become doubles, null fits any type."""
    try:
        return pa.unify_schemas([one, other], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{error}; such fields can't be one Parquet column: write JSON lines (--to jsonl)") from error


def _table(block: Block) -> pa.Table:
    """Return the rows' own columns, without earlier entities."""
    if block.batch is None:
        return table_of([{name: each for name, each in row.fields.items() if name != SPANS} for row in block.rows])
    table = pa.Table.from_batches([block.batch])
    if TEXT not in table.column_names and block.rows:
        table = table.append_column(TEXT, pa.array([row.text for row in block.rows], pa.string()))
    return table.drop_columns([SPANS]) if SPANS in table.column_names else table


def _rows_of(metadata: Any) -> int:
    """Return the number of rows that take a few hundred kilobytes, on average over the file."""
    size: int = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    rows = int(metadata.num_rows) * _BATCH_BYTES // max(1, size)
    return max(1, min(_MOST_ROWS, rows))


def _column(values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_whole(value) for value in values], kind)


def _whole(value: Any) -> Any:
    """Return a value without lone surrogates."""
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {_whole(key): _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    """Convert a value to JSON types."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
