"""A benchmark's table on the terminal: the F1s, the tests, the notes. What stands beside is in the files.

Where there are more systems than fit the width, the table is cut into several, each with its rows' names. Systems that
haven't run have no column here (a note names them), and tests of fewer than three runs no row.
"""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from nerbert.evaluation.tables.grid import NONE, BenchmarkTable, Column, ColumnKind, Entry, Grid, TableRow
from nerbert.render.benchmark.wrap import cut
from nerbert.terminal import plain, visible

_KEYS = ("scores", "tests")
_WIDEST_NAME = 28


def print_table(table: BenchmarkTable, console: Console | None = None) -> None:
    """Print the table, as wide as the terminal is."""
    console = console or Console()
    console.print(plain(table.title), style="bold")
    for grid in table.grids:
        kept = replace(grid, rows=tuple(row for row in grid.rows if not row.minor))
        if grid.key in _KEYS and (kept.rows or not grid.rows):
            widths = [_width(column, [row.entries[n] for row in kept.rows]) for n, column in enumerate(kept.columns)]
            for places in cut(kept, widths, console.width - 1, _told(kept)):
                console.print()
                console.print(_shown(kept, places))
    console.print()
    for number, note in enumerate(table.numbered, 1):
        console.print(plain(f"[{number}] {note}"))
    for note in table.notes:
        console.print(plain(note), style="dim")
    for name, text in table.facts.items():
        console.print(plain(f"{name}: {text}"), style="dim")


def _told(grid: Grid) -> list[int]:
    """Places of the columns that say something; all, if none does."""
    every = range(len(grid.columns))
    figures = [place for place in every if any(row.entries[place].text != NONE for row in grid.rows)]
    names = [place for place in every if grid.columns[place].kind is ColumnKind.NAME]
    return figures if len(figures) > len(names) else list(every)


def _width(column: Column, entries: Sequence[Entry]) -> int:
    """How wide a column is with its lines and blanks."""
    texts = [
        *_head(column).plain.split("\n"),
        *(line for entry in entries for line in (_text(entry).plain.split("\n"))),
    ]
    longest = max(plain(text).cell_len for text in texts)
    return 3 + (min(longest, _WIDEST_NAME) if column.kind is ColumnKind.NAME else longest)


def _shown(grid: Grid, places: Sequence[int]) -> Shown:
    shown = Shown(title=plain(grid.title), title_justify="left")
    for column in (grid.columns[place] for place in places):
        name = column.kind is ColumnKind.NAME
        shown.add_column(_head(column), justify="left" if name else "right", no_wrap=not name, overflow="fold",
                         max_width=_WIDEST_NAME if name else None)  # fmt: skip
    whole = False
    for row in grid.rows:
        if row.whole and not whole:
            shown.add_section()
        whole = row.whole
        shown.add_row(*(_text(row.entries[place]) for place in places), style=_style(row))
    return shown


def _style(row: TableRow) -> str:
    return "italic" if row.whole else ""


def _head(column: Column) -> Text:
    text = plain(f"{column.head}{f' [{column.note}]' if column.note else ''}")
    return text.append("\npublished", style="dim") if column.kind is ColumnKind.PUBLISHED else text


def _text(entry: Entry) -> Text:
    notes = f" [{', '.join(map(str, entry.notes))}]" if entry.notes else ""
    text = Text(visible(entry.text), style="bold" if entry.best else "").append(f"{entry.mark}{notes}")
    return text.append(f"\n{entry.below}", style="dim") if entry.below else text
