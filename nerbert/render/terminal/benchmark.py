"""A benchmark's table on the terminal: the F1s, the tests, the notes. Other figures are in the files.

Columns of systems that haven't run and tests of fewer than three runs are left out. Where there are more systems than
fit the width, the scores are shown in several tables, each with its rows' names.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nerbert.render.terminal.table import table as draw_table
from nerbert.terminal import plain, visible

if TYPE_CHECKING:
    from nerbert.evaluation.tables.grid import BenchmarkTable, Entry, Grid, TableRow

_NAMES_WIDTH, _FIGURE_WIDTH = 44, 19


def print_table(table: "BenchmarkTable", console: Console | None = None) -> None:
    """Print the table, as wide as the terminal is."""
    console = console or Console()
    console.print(plain(table.title), style="bold")
    for grid in table.grids:
        rows = [row for row in grid.rows if not row.minor]
        if grid.key == "scores":
            said = [place for place in range(grid.names, len(grid.heads)) if _says(place, rows)]
            most = max(1, (console.width - _NAMES_WIDTH) // _FIGURE_WIDTH)
            for first in range(0, max(1, len(said)), most):
                console.print("", _shown(grid, rows, said[first : first + most]), sep="\n")
        elif grid.key == "tests" and rows:
            console.print("", _shown(grid, rows, range(grid.names, len(grid.heads))), sep="\n")
    console.print()
    for number, note in enumerate(table.numbered, 1):
        console.print(plain(f"[{number}] {note}"))
    for line in (*table.notes, *(f"{name}: {text}" for name, text in table.facts.items())):
        console.print(plain(line), style="dim")


def _says(place: int, rows: Iterable["TableRow"]) -> bool:
    return any(row.entries[place].text != "–" for row in rows)


def _shown(grid: "Grid", rows: Sequence["TableRow"], places: Sequence[int]) -> Table:
    """Return a grid's names and the figures at some places."""
    heads = [_text(head) for head in grid.heads[: grid.names]]
    for place in places:
        published = "\npublished" if place >= len(grid.heads) - grid.published else ""
        heads.append(_text(grid.heads[place]).append(published, style="dim"))
    shown = draw_table(heads, (), numbers=range(grid.names, len(heads)), title=grid.title)
    for number, row in enumerate(rows):
        if row.whole and number and not rows[number - 1].whole:
            shown.add_section()
        entries = [*row.entries[: grid.names], *(row.entries[place] for place in places)]
        shown.add_row(*map(_text, entries), style="italic" if row.whole else "")
    return shown


def _text(entry: "Entry") -> Text:
    notes = f" [{', '.join(map(str, entry.notes))}]" if entry.notes else ""
    text = Text(visible(entry.text), style="bold" if entry.best else "").append(f"{entry.mark}{notes}")
    return text.append(f"\n{entry.below}", style="dim") if entry.below else text
