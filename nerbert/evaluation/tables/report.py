"""A benchmark's table on the terminal: the F1s, the tests, the notes. What stands beside is in the files.

Where there are more systems than fit the width, the table is cut into several, each with its rows' names.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from nerbert.evaluation.tables.grid import Column, Entry, Grid, Kind, Row, Table
from nerbert.show import plain, visible

_KEYS = ("scores", "tests")
_WIDEST_NAME = 28


def print_table(table: Table, console: Console | None = None) -> None:
    """Print the table, as wide as the terminal is."""
    console = console or Console()
    console.print(plain(table.title), style="bold")
    for grid in table.grids:
        if grid.key in _KEYS:
            for places in _parts(grid, console.width):
                console.print()
                console.print(_shown(grid, places))
    console.print()
    for number, note in enumerate(table.numbered, 1):
        console.print(plain(f"[{number}] {note}"))
    for note in table.notes:
        console.print(plain(note), style="dim")
    for name, text in table.facts.items():
        console.print(plain(f"{name}: {text}"), style="dim")


def _parts(grid: Grid, width: int) -> Iterator[list[int]]:
    """The places of the columns that fit beside each other; the columns of names stand in every part."""
    widths = [_width(column, [row.entries[place] for row in grid.rows]) for place, column in enumerate(grid.columns)]
    names = [place for place, column in enumerate(grid.columns) if column.kind is Kind.NAME]
    taken = sum(widths[place] for place in names)
    part: list[int] = []
    for place in range(len(names), len(grid.columns)):
        if part and taken + sum(widths[each] for each in part) + widths[place] + 1 > width:
            yield [*names, *part]
            part = []
        part.append(place)
    yield [*names, *part]


def _width(column: Column, entries: Sequence[Entry]) -> int:
    """How wide a column is with its lines and blanks."""
    texts = [column.head, column.below, *(line for entry in entries for line in (_text(entry).plain.split("\n")))]
    longest = max(plain(text).cell_len for text in texts)
    return 3 + (min(longest, _WIDEST_NAME) if column.kind is Kind.NAME else longest)


def _shown(grid: Grid, places: Sequence[int]) -> Shown:
    shown = Shown(title=plain(grid.title), title_justify="left")
    for column in (grid.columns[place] for place in places):
        name = column.kind is Kind.NAME
        shown.add_column(_head(column), justify="left" if name else "right", no_wrap=not name, overflow="fold",
                         max_width=_WIDEST_NAME if name else None)  # fmt: skip
    whole = False
    for row in grid.rows:
        if row.whole and not whole:
            shown.add_section()
        whole = row.whole
        shown.add_row(*(_text(row.entries[place]) for place in places), style=_style(row))
    return shown


def _style(row: Row) -> str:
    return "italic" if row.whole else ""


def _head(column: Column) -> Text:
    below = "published" if column.kind is Kind.PUBLISHED else column.below
    text = plain(f"{column.head}{f' [{column.note}]' if column.note else ''}")
    return text.append(f"\n{visible(below)}", style="dim") if below else text


def _text(entry: Entry) -> Text:
    notes = f" [{', '.join(map(str, entry.notes))}]" if entry.notes else ""
    text = Text(visible(entry.text), style="bold" if entry.best else "").append(f"{entry.mark}{notes}")
    return text.append(f"\n{entry.below}", style="dim") if entry.below else text
