"""A benchmark's table as LaTeX: one `table` a grid, lines by booktabs; to be taken in with `\\input`.

Names are escaped, so nothing in them is a command. Letters that pdfLaTeX doesn't know (other scripts in a name) need
LuaLaTeX or XeLaTeX. Wide grids are scaled to the text's width (graphicx); the price is small print.
"""

from collections.abc import Iterator

from nerbert.evaluation.tables.grid import Column, Entry, Grid, Kind, Row, Table
from nerbert.show import visible

_WIDE = 6
_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
    **{char: f"\\{char}" for char in "{}$&#%_"},
    **{char: f"{{{char}}}" for char in "[]*-"},
})  # fmt: skip
"""Brackets and stars would be taken for an option of the line's end, two hyphens for a dash."""


def latex_of(table: Table) -> str:
    """All grids but the detail, each with its caption; the notes stand below the first."""
    head = r"% needs \usepackage[T1]{fontenc}, \usepackage{booktabs} and \usepackage{graphicx}"
    shown = [grid for grid in table.grids if not grid.folded]
    parts = [_grid(grid, tuple(_notes(table)) if place == 0 else ()) for place, grid in enumerate(shown)]
    return "\n\n".join([head, *parts]) + "\n"


def escaped(text: str) -> str:
    """A text in which LaTeX reads nothing; control characters made visible."""
    return visible(text).translate(_ESCAPES)


def _grid(grid: Grid, notes: tuple[str, ...]) -> str:
    tabular = "\n".join(_tabular(grid))
    if len(grid.columns) > _WIDE:
        tabular = f"\\resizebox{{\\textwidth}}{{!}}{{%\n{tabular}%\n}}"
    below = "".join(f"\n\\par\\smallskip\\raggedright {note}" for note in notes)
    return (f"\\begin{{table}}[tp]\n\\centering\\footnotesize\n\\caption{{{escaped(grid.title)}}}\n"
            f"{tabular}{below}\n\\end{{table}}")  # fmt: skip


def _tabular(grid: Grid) -> Iterator[str]:
    yield f"\\begin{{tabular}}{{{''.join(_side(column) for column in grid.columns)}}}"
    yield "\\toprule"
    heads = [escaped(column.head) + _above("", (column.note,) if column.note else ()) for column in grid.columns]
    yield _line(heads)
    below = ["published" if each.kind is Kind.PUBLISHED else escaped(each.below) for each in grid.columns]
    if any(below):
        yield _line(below)
    yield "\\midrule"
    whole = False
    for row in grid.rows:
        if row.whole and not whole:
            yield "\\midrule"
        whole = row.whole
        yield from _row(row)
    yield "\\bottomrule"
    yield "\\end{tabular}"


def _row(row: Row) -> Iterator[str]:
    """A row, and its intervals on a line of their own."""
    yield _line([_entry(entry) for entry in row.entries])
    if any(entry.below for entry in row.entries):
        yield _line([f"{{\\scriptsize {escaped(entry.below)}}}" if entry.below else "" for entry in row.entries])


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _entry(entry: Entry) -> str:
    text = f"\\textbf{{{escaped(entry.text)}}}" if entry.best else escaped(entry.text)
    return text + _above(entry.mark, entry.notes)


def _above(mark: str, notes: tuple[int, ...]) -> str:
    told = ", ".join([*([mark] if mark else []), *map(str, notes)])
    return f"\\textsuperscript{{{told}}}" if told else ""


def _side(column: Column) -> str:
    """Names stand left, figures right; published ones with a gap before them."""
    return {Kind.NAME: "l", Kind.FIGURE: "r", Kind.PUBLISHED: "@{\\hspace{2em}}r"}[column.kind]


def _notes(table: Table) -> Iterator[str]:
    for number, note in enumerate(table.numbered, 1):
        yield f"\\textsuperscript{{{number}}} {escaped(note)}"
    for note in table.notes:
        yield escaped(note)
