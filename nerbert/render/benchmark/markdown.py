"""A benchmark's table as Markdown, as GitHub shows it: ready for docs/results.

Names are escaped, so nothing in them is read as markup. Intervals and notes' numbers use the HTML that GitHub allows
in a table (`<br>`, `<sub>`, `<sup>`); the price: other viewers may show these as they are. Detail (F1 by type) is left
out; the page and the CSV have it.
"""

import re
from collections.abc import Iterator

from nerbert.evaluation.tables.grid import BenchmarkTable, Column, ColumnKind, Entry, Grid, TableRow
from nerbert.render.markdown import rows, said

_MARK = re.compile(r"(\d*)([-+=.)])")
"""What begins a list, or underlines a title, where a line begins with it."""


def markdown_of(table: BenchmarkTable) -> str:
    """The whole table as a Markdown document."""
    return "\n\n".join(_parts(table)) + "\n"


def _parts(table: BenchmarkTable) -> Iterator[str]:
    yield f"# {_line(table.title)}"
    if table.about:
        yield _line(table.about)
    for grid in table.grids:
        if not grid.folded:
            yield f"## {said(grid.title)}"
            yield _grid(grid)
    if table.numbered:
        yield "\n".join(f"{number}. {_line(note)}" for number, note in enumerate(table.numbered, 1))
    yield "## How to read it"
    yield "\n".join(f"- {_line(note)}" for note in table.notes)
    yield "## How it was made"
    yield "\n".join(f"- {_line(name)}: {said(text)}" for name, text in table.facts.items())


def _line(text: str) -> str:
    """A text as one line that begins no list, no title and no code."""
    folded = said(" ".join(text.split()))
    return _MARK.sub(r"\1\\\2", folded, count=1) if _MARK.match(folded) else folded


def _grid(grid: Grid) -> str:
    numbers = [place for place, column in enumerate(grid.columns) if column.kind is not ColumnKind.NAME]
    return rows([_head(column) for column in grid.columns], [_row(row) for row in grid.rows], numbers)


def _head(column: Column) -> str:
    name = f"*{said(column.head)}*<br>published" if column.kind is ColumnKind.PUBLISHED else said(column.head)
    return f"{name}{_above((column.note,) if column.note else ())}"


def _row(row: TableRow) -> list[str]:
    first, *others = row.entries
    return [f"*{said(first.text)}*" if row.whole else _entry(first), *map(_entry, others)]


def _entry(entry: Entry) -> str:
    text = f"**{said(entry.text)}**" if entry.best else said(entry.text)
    below = f"<br><sub>{said(entry.below)}</sub>" if entry.below else ""
    return f"{text}{said(entry.mark)}{_above(entry.notes)}{below}"


def _above(notes: tuple[int, ...]) -> str:
    return f"<sup>{', '.join(map(str, notes))}</sup>" if notes else ""
