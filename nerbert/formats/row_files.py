"""Files of rows whose fields are given: one text per line, JSON lines, CSV, Parquet.

Unlike a format's own writer it adds nothing, such as entities.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nerbert.formats.json_files import json_text, object_line
from nerbert.formats.kinds import CSV, JSONL, PARQUET, kind_named
from nerbert.formats.kinds import TEXT as LINES
from nerbert.formats.rows import TEXT, Stream
from nerbert.records import Document, Repairs

ROW_KINDS = (LINES, JSONL, CSV, PARQUET)
"""The kinds of such files."""


Row: TypeAlias = Mapping[str, Any]
"""Fields in JSON types; `text` is the text."""


def write_rows(path: Path, kind: str, rows: Callable[[], Iterable[Row]], columns: Sequence[str]) -> None:
    """Write rows to a file; Parquet calls `rows` twice. CSV needs the names of `columns`."""
    if kind == PARQUET:
        from nerbert.formats.parquet import write_parquet

        write_parquet(path, _Documents(rows), path, tagged=False)
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
    source = Stream(str(path), lambda: path.open("rb"), path=path, strip="")
    found: Iterator[Document] = kind_named(kind).read(source, Repairs())
    return found


class _Documents:
    """Rows as documents, made again for each iteration."""

    def __init__(self, rows: Callable[[], Iterable[Row]]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Document]:
        return (Document(row[TEXT], fields=row) for row in self._rows())


def _text_line(row: Row) -> bytes:
    return f"{row[TEXT]}\n".encode("utf-8", "replace")


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json_text(value)
