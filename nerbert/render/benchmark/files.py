"""A benchmark's table as files: Markdown, LaTeX, CSV and a page of HTML. The same table gives the same bytes."""

import csv
import io
import re
from pathlib import Path

from nerbert.artifacts import publish
from nerbert.errors import InputError
from nerbert.evaluation.tables.grid import BenchmarkTable, Record
from nerbert.render.benchmark.latex import latex_of
from nerbert.render.benchmark.markdown import markdown_of
from nerbert.render.benchmark.page import page_of

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NAME = re.compile(r"[\w][\w .-]{0,99}")
RENDERERS = {".md": markdown_of, ".tex": latex_of, ".html": page_of}


def write_tables(folder: Path, table: BenchmarkTable) -> list[Path]:
    """Write NAME.md, .tex, .html and .csv into a folder, each whole or not at all; give their paths."""
    if not _NAME.fullmatch(table.name):
        raise InputError(f"{table.name!r:.80}: can't name a file; use letters, digits, spaces, dots, hyphens")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for ending, render in (RENDERERS | {".csv": csv_of}).items():
        path = folder / f"{table.name}{ending}"
        with publish(path) as draft:
            draft.write_bytes(render(table).encode("utf-8", "backslashreplace"))
        written.append(path)
    return written


def csv_of(table: BenchmarkTable) -> str:
    """The records as CSV in UTF-8: quoted as RFC 4180 says, but lines end with LF alone.

    A text that a spreadsheet would take for a formula (it begins with = + - @, tab or line end) gets a ' before it: the
    price is that pandas shows it too. Figures are left alone.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Record._fields)
    for record in table.records:
        line = {name: value if name == "value" else harmless(value) for name, value in record._asdict().items()}
        writer.writerow(line.values())
    return text.getvalue()


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
