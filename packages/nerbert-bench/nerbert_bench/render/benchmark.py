"""A benchmark's table as Markdown, LaTeX, CSV and HTML page, and on the terminal; equal tables give equal bytes.

LaTeX is for `\\input`; letters of other scripts need LuaLaTeX or XeLaTeX. F1 by type is on the page and in the CSV.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nerbert.artifacts import publish
from nerbert.errors import visible
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.render import changed_settings, render
from nerbert.render.terminal import table as terminal_table
from nerbert.terminal import plain, tell
from nerbert.training.settings import flat_settings, plain_settings
from nerbert_bench.cells import State
from nerbert_bench.render import TEMPLATES
from nerbert_bench.suite import Suite
from nerbert_bench.tables.results import BenchmarkTable, Entry, Grid

# Beginnings that spreadsheets take for a formula; tabs and line ends may hide one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NAMES_WIDTH, _FIGURE_WIDTH = 44, 19


def show_results(table: BenchmarkTable, folder: Path, advice: Iterable[str]) -> bool:
    """Write the tables and print them, then advice on the cells; return whether no cell failed."""
    try:
        files = write_tables(folder, table)
    # A full disk must not prevent the report on the cells.
    finally:
        print_table(table)
        for line in advice:
            tell(line)
    counts = Counter(cell.state for cell in table.cells)
    done = ", ".join(f"{counts[state]} {state.value.replace('_', ' ')}" for state in State if counts[state])
    tell(f"cells: {done}; written: {', '.join(map(str, files))}")
    return not counts[State.FAILED]


def write_tables(folder: Path, table: BenchmarkTable) -> list[Path]:
    """Write NAME.md, .tex, .html and .csv into a folder, each whole or not at all; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {**{ending: text_of(table, ending) for ending in ("md", "tex", "html")}, "csv": csv_of(table)}
    for ending, text in texts.items():
        with publish(folder / f"{table.name}.{ending}") as draft:
            # A lone surrogate in a name can't be written in UTF-8.
            draft.write_bytes(text.encode("utf-8", "backslashreplace"))
    return [folder / f"{table.name}.{ending}" for ending in texts]


def text_of(table: BenchmarkTable, ending: str) -> str:
    """Return the table as `md`, `tex` or `html`."""
    return render(f"benchmark.{ending}.j2", TEMPLATES, table=table, notes=notes_of(table))


def notes_of(table: BenchmarkTable) -> tuple[str, ...]:
    """Return the notes on how to read the table that apply, each of one or more sentences."""
    suite: Suite = table.note_facts["suite"]
    text = render(
        "benchmark_notes.txt.j2",
        TEMPLATES,
        **table.note_facts,
        protocols={name: _changes(settings) for name, settings in suite.protocols.items()},
        own_settings={
            name: [f"{key} = {value}" for key, value in flat_settings(system.settings).items()]
            for name, system in suite.systems.items()
            if system.settings
        },
    )
    return tuple(line for line in text.split("\n") if line)


def _changes(settings: FinetuneSettings) -> list[str]:
    """Return the settings of a protocol that aren't the defaults."""
    values, defaults = (flat_settings(plain_settings(values)) for values in (settings, FinetuneSettings()))
    changed = sorted(changed_settings(values, defaults).items())
    # The seed is no part of a protocol: each cell has its own.
    return [f"{name} = {value!r}" for name, value in changed if name != "seed"]


def csv_of(table: BenchmarkTable) -> str:
    """Return the records as CSV in UTF-8, quoted as in RFC 4180, but with LF as line end.

    A text that a spreadsheet would take for a formula gets a ' before it. Cost: pandas shows it too.
    """
    text = io.StringIO(newline="")
    # LF on every system, so that equal tables give equal bytes.
    csv.writer(text, lineterminator="\n").writerows(map(harmless, table.records()))
    return text.getvalue()


def harmless(record: Sequence[str]) -> list[str]:
    """Return texts that no spreadsheet takes for a formula."""
    # Spreadsheets may ignore blanks before a formula.
    return [f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text for text in record]


def print_table(table: BenchmarkTable, console: Console | None = None) -> None:
    """Print scores and tests, without empty columns, in as many tables as the width requires, and the notes."""
    console = console or Console()
    console.print(plain(table.title), style="bold")
    for grid in table.grids:
        if grid.key == "scores":
            columns = [
                column
                for column in range(grid.names, len(grid.heads))
                if any(row[column].text != "–" for row in grid.rows)
            ]
            most = max(1, (console.width - _NAMES_WIDTH) // _FIGURE_WIDTH)
            for first in range(0, max(1, len(columns)), most):
                _print_grid(table, grid, columns[first : first + most], console)
        elif grid.key in ("tests", "zero_shot", "zero_shot_spans"):
            _print_grid(table, grid, range(grid.names, len(grid.heads)), console)
    console.print()
    for number, note in enumerate(table.numbered, 1):
        console.print(plain(f"[{number}] {note}"))
    for line in (*notes_of(table), *(f"{name}: {text}" for name, text in table.facts.items())):
        console.print(plain(line), style="dim")


def _print_grid(table: BenchmarkTable, grid: Grid, columns: Sequence[int], console: Console) -> None:
    """Print a grid's names and the figures of these columns."""
    columns = (*range(grid.names), *columns)
    heads, *rows = ([_entry_text(table, row[column]) for column in columns] for row in (grid.heads, *grid.rows))
    console.print("", terminal_table(heads, rows, numbers=range(grid.names, len(heads)), title=grid.title), sep="\n")


def _entry_text(table: BenchmarkTable, entry: Entry) -> Text:
    notes = f" {table.numbers(entry)}" if entry.notes else ""
    text = Text(visible(entry.text), style="bold" if entry.best else "").append(f"{entry.mark}{notes}")
    return text.append(f"\n{entry.below}", style="dim") if entry.below else text
