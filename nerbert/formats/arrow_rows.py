"""Parquet: one text per row, its entities in the column `spans`; read and written in batches, for any size.

Texts are decoded here, because files that claim UTF-8 do not always contain it. Cost: lone surrogates become U+FFFD.
"""

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.errors import InputError, at, refused
from nerbert.formats.jsonl import text_in
from nerbert.formats.lines import ERRORS, SPANS, TEXT, TOKENS, Stream, decode_line, without_surrogates
from nerbert.records import SPAN_FIELDS, Document, span_json

_BATCH_BYTES = 1 << 18
_MOST_ROWS = 2_000
_TYPES = {str: pa.string(), int: pa.int32(), float: pa.float64()}
SPAN_LIST = pa.list_(pa.struct([(name, _TYPES[type_]) for name, type_ in SPAN_FIELDS.items()]))
"""The type of the column `spans`."""
_SPANS = pa.field(SPANS, SPAN_LIST)


class ArrowRow(Mapping[str, Any]):
    """A row's fields in JSON types, converted on access (Parquet uses the columns); `added` fields aren't columns."""

    __slots__ = ("added", "batch", "index")

    def __init__(self, batch: "_Batch", index: int, added: Mapping[str, Any]) -> None:
        self.batch, self.index, self.added = batch, index, added

    def __getitem__(self, name: str) -> Any:
        return self.added[name] if name in self.added else self.batch.plain[self.index][name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.added, *self.batch.columns.schema.names))

    def __len__(self) -> int:
        return len(self.added) + len(self.batch.columns.schema.names)


class _Batch:
    """Columns, and their rows in JSON types, which are made on first access."""

    def __init__(self, columns: pa.RecordBatch) -> None:
        self.columns = columns

    @cached_property
    def plain(self) -> list[dict[str, Any]]:
        """The rows in JSON types."""
        return plain_rows(self.columns)


def parquet_texts(path: Path, source: Stream) -> Iterator[Document]:
    """Yield the rows of a file, the text (or words) in a column."""
    with refused(f"{path}: can't be read as Parquet"):
        size = round(path.stat().st_size / max(1, pq.read_metadata(path).num_rows))
    first = 1
    for batch in read_batches(path):
        yield from batch_texts(batch, source.name, source.field, source.errors, first, size)
        first += batch.num_rows


def batch_texts(
    batch: pa.RecordBatch, name: str, field: str, errors: str = ERRORS[0], first: int = 1, size: int = 0
) -> list[Document]:
    """Return the rows of a batch; `name` and `first`, the number of the first row, are for messages.

    With `errors` = `replace`, bytes that aren't UTF-8 become U+FFFD in the texts, and in their column. Other columns
    may contain values that JSON can't.
    """
    with at(name):
        mended = decoded_column(batch, field, first, errors)
        rows = list[Document]()
        shared = _Batch(batch if errors == "strict" else mended)
        has_text = TEXT in batch.schema.names
        names = [name for name in ((field, TOKENS) if field == TEXT else (field,)) if name in batch.schema.names]
        # without such a column, select all, so that the error names them
        for index, fields in enumerate(plain_rows(mended.select(names[:1]) if names else mended)):
            with at(part=f"row {first + index}"):
                text, words = text_in(fields, field)
            row = ArrowRow(shared, index, {} if has_text else {TEXT: text})
            rows.append(Document(text, (), words, "", row, first + index, size=size))
    return rows


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in batches of a few hundred kilobytes; without rows, one empty batch."""
    with refused(f"{path}: can't be read as Parquet"), pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if repeated := next((name for index, name in enumerate(names) if name in names[:index]), ""):
            raise InputError(f"{path}: has several columns {repeated!r}; rename all but one")
        size = sum(file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups))
        rows = file.metadata.num_rows * _BATCH_BYTES // max(1, size)  # on average
        yield from file.iter_batches(max(1, min(_MOST_ROWS, rows)))
        # An empty batch still shows the columns
        if not file.metadata.num_rows:
            yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)


def decoded_column(batch: pa.RecordBatch, field: str, first: int, errors: str) -> pa.RecordBatch:
    """Return the batch with the column `field` decoded, if it holds texts; `first` is the number of the first row."""
    index = batch.schema.get_field_index(field)
    type_ = batch.schema.types[index] if index >= 0 else pa.null()
    lists = pa.types.is_list(type_) or pa.types.is_large_list(type_)
    if index < 0 or (pa.types.is_nested(type_) and not lists):
        return batch
    types = [pa.large_list(leaf) if lists else leaf for leaf in (pa.large_binary(), pa.large_string())]
    try:
        values = batch.column(index).cast(types[0]).to_pylist()
    # A column of other values isn't text; its reader names the fault
    except pa.ArrowException:
        return batch
    texts = []
    for number, value in enumerate(values, first):
        with at(part=f"row {number}"):
            texts.append([_decode(item, errors) for item in value] if value and lists else _decode(value, errors))
    return batch.set_column(index, field, pa.array(texts, types[1]))


def _decode(value: Any, errors: str) -> Any:
    return decode_line(value, 0, errors) if isinstance(value, bytes) else value


def plain_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows in JSON types: dates and decimals as text, bytes in base64, NaN and infinities as null."""
    try:
        return [_plain(row) for row in batch.to_pylist()]
    # First, since it is a kind of ValueError
    except UnicodeDecodeError as error:
        raise InputError(f"a column that should hold text holds other bytes ({error.reason}); fix it") from None
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(f"a column holds values that JSON can't: {error!s:.120}; choose --to parquet") from None


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return JSON objects as a table with a column for each name in any of them; types are inferred from the values."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        try:
            columns[_mend(name)] = _column([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"field {name!r} can't be a Parquet column: {reason:.120}; write JSON lines (--to jsonl)"
            ) from error
    return pa.table(columns)


def write_parquet(
    path: Path, rows: Callable[[], Iterable[Document]], name: object, like: Path | None = None, *, tagged: bool = True
) -> None:
    """Write rows with all their columns, and with their entities if `tagged`; `rows` is called twice.

    Columns are those of all rows (without rows, those of the file `like`), and missing fields are null. Raise
    InputError that names `name` for fields whose values don't fit one type.
    """
    schema = _schema_of(rows(), name, like)
    empty = (schema.append(_SPANS) if tagged else schema).empty_table()
    not_parquet = refused(f"{name}", of=pa.ArrowNotImplementedError, remedy="write JSON lines (--to jsonl)")
    with not_parquet, pq.ParquetWriter(path, empty.schema, compression="zstd") as writer:
        for group in _groups(rows()):
            table = tagged_table(group) if tagged else _table(group)
            complete = pa.concat_tables([empty, table], promote_options="permissive")
            writer.write_table(complete.combine_chunks())


def _schema_of(rows: Iterable[Document], name: object, like: Path | None) -> pa.Schema:
    schema = pa.schema([])
    # A column may be missing in the first rows, or have only nulls there
    for group in _groups(rows):
        with at(f"{name}", group[0].line or None):
            try:
                schema = pa.unify_schemas([schema, _table(group).schema], promote_options="permissive")
            except pa.ArrowException as error:
                raise InputError(
                    f"{error}; such fields can't be one Parquet column: write JSON lines (--to jsonl)"
                ) from error
    if like and not schema.names:
        schema = _table((), next(read_batches(like))).schema
    return schema if schema.names else pa.schema([(TEXT, pa.string())])


def _groups(rows: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield lists of rows, each of which becomes a row group."""
    left = iter(rows)
    while group := list(islice(left, _MOST_ROWS)):
        yield group


def tagged_table(rows: Sequence[Document], columns: pa.RecordBatch | None = None) -> pa.Table:
    """Return rows with their entities in the column `spans`, replacing an earlier one; without rows, use `columns`."""
    spans = _column([[span_json(span) for span in row.spans] for row in rows], SPAN_LIST)
    return _table(rows, columns).append_column(_SPANS, spans)


def _table(rows: Sequence[Document], columns: pa.RecordBatch | None = None) -> pa.Table:
    """Return the rows' columns, without earlier entities."""
    runs = [] if columns is None or rows else [pa.Table.from_batches([columns])]
    # Rows of one batch follow each other, so its columns can be sliced instead of converted
    for _, group in groupby(rows, lambda row: row.fields.batch if isinstance(row.fields, ArrowRow) else None):
        run = [row.fields for row in group]
        if not isinstance(first := run[0], ArrowRow):
            runs.append(table_of(run))
            continue
        table = pa.Table.from_batches([first.batch.columns.slice(first.index, len(run))])
        for name in first.added:
            table = table.append_column(name, _column([fields[name] for fields in run], pa.string()))
        runs.append(table)
    table = runs[0] if len(runs) == 1 else pa.concat_tables(runs, promote_options="permissive")
    return table.drop_columns([SPANS]) if SPANS in table.column_names else table


def _column(values: list[Any], type_: pa.DataType | None = None) -> pa.Array:
    try:
        return pa.array(values, type_)
    # Arrow refuses lone surrogates, which broken JSON may contain
    except UnicodeEncodeError:
        return pa.array([_mend(value) for value in values], type_)


def _mend(value: Any) -> Any:
    """Return a value without lone surrogates."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    return {_mend(key): _mend(item) for key, item in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    """Convert a value to JSON types."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_plain, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
