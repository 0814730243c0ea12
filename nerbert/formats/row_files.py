"""Files of rows whose fields are given: one text per line, JSON lines, CSV, Parquet.

Unlike a format's own writer it adds nothing, such as entities.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from nerbert.formats.inputs import InputFile
from nerbert.formats.json_files import json_text, object_line
from nerbert.formats.kinds import CSV, JSONL, PARQUET
from nerbert.formats.kinds import TEXT as LINES
from nerbert.formats.rows import ERRORS, TEXT
from nerbert.records import Document

ROW_KINDS = (LINES, JSONL, CSV, PARQUET)
"""The kinds of such files."""
_TABLE_ROWS = 2_000


Row: TypeAlias = Mapping[str, Any]
"""Fields in JSON types; `text` is the text."""


def write_rows(path: Path, kind: str, rows: Callable[[], Iterable[Row]], columns: Sequence[str]) -> None:
    """Write rows to a file; Parquet calls `rows` twice. CSV needs the names of `columns`."""
    if kind == PARQUET:
        _write_table(path, rows)
    elif kind == CSV:
        with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(columns)
            table.writerows([_cell(row.get(name)) for name in columns] for row in rows())
    else:
        write = object_line if kind == JSONL else _text_line
        with path.open("wb") as stream:
            stream.writelines(map(write, rows()))


def read_rows(path: Path, kind: str) -> Iterator[Document]:
    """Yield the rows of such a file, with all fields."""
    return InputFile(str(path), PurePath(path.name), kind).documents(TEXT, ERRORS[0], strip="")


def _text_line(row: Row) -> bytes:
    return f"{row[TEXT]}\n".encode("utf-8", "replace")


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json_text(value)


def _write_table(path: Path, rows: Callable[[], Iterable[Row]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nerbert.formats.parquet import joined_schema, table_of

    schema = pa.schema([(TEXT, pa.string())])
    for some in _some(rows()):
        schema = joined_schema(schema, table_of(some).schema)
    empty = schema.empty_table()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in _some(rows()):
            whole = pa.concat_tables([empty, table_of(some)], promote_options="permissive")
            writer.write_table(whole.combine_chunks())


def _some(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield lists of rows that become a row group each."""
    left = iter(rows)
    while some := list(islice(left, _TABLE_ROWS)):
        yield some
