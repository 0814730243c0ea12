"""A benchmark's table as LaTeX, lines by booktabs; to be taken in with `\\input`.

The scores come first, a float for each protocol (a longtable where they are too many rows for a page), then the notes,
then the other grids as longtables, to be cut off where they aren't wanted. A grid that is wider than the text is cut
into several, each with its rows' names; nothing is scaled. The price: widths are counted in letters, so a line can
still stick out where names are long.

Names are escaped, so nothing in them is a command. Letters that pdfLaTeX doesn't know (other scripts in a name) need
LuaLaTeX or XeLaTeX.
"""

from collections.abc import Iterator, Sequence

from nerbert.evaluation.tables.grid import BenchmarkTable, Column, ColumnKind, Entry, Grid, TableRow
from nerbert.render.benchmark.wrap import cut
from nerbert.terminal import visible

_LETTERS = 90
"""So many stand in a line of small print."""
_BETWEEN = 3
_LONGEST_NAME = 24
_LINES = 50
"""So many a float may have."""
_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
    **{char: f"\\{char}" for char in "{}$&#%_"},
    **{char: f"{{{char}}}" for char in "[]*-"},
})  # fmt: skip
"""Brackets and stars would be taken for an option of the line's end, two hyphens for a dash."""


def latex_of(table: BenchmarkTable) -> str:
    """All grids but the detail, each with its caption; the notes stand below the scores."""
    head = r"% needs \usepackage[T1]{fontenc}, \usepackage{booktabs}, \usepackage{longtable} and \usepackage{array}"
    scores = [grid for grid in table.grids if grid.key == "scores"]
    others = [grid for grid in table.grids if grid.key != "scores" and not grid.folded]
    notes = [f"{{\\footnotesize\\raggedright {note}\\par}}" for note in _notes(table)]
    floats = [each for grid in scores for each in _scores(grid)]
    return "\n\n".join([head, *floats, *notes, *(each for grid in others for each in _long(grid))]) + "\n"


def escaped(text: str) -> str:
    """A text in which LaTeX reads nothing; control characters made visible."""
    return visible(text).translate(_ESCAPES)


def _scores(grid: Grid) -> Iterator[str]:
    """A float a grid, or longtables."""
    parts = list(_parts(grid))
    lines = sum(3 + sum(len(list(_row(row, part))) for row in grid.rows) for part in parts)
    if lines > _LINES:
        yield from _long(grid)
        return
    bodies = [
        f"\\begin{{tabular}}{{{_sides(grid, part)}}}\n\\toprule\n{_heads(grid, part)}\n\\midrule\n{_body(grid, part)}\n"
        "\\bottomrule\n\\end{tabular}" for part in parts
    ]  # fmt: skip
    inside = "\n\\par\\smallskip\n".join(bodies)
    caption = f"\\caption{{{escaped(grid.title)}}}"
    yield f"\\begin{{table}}[tp]\n\\centering\\footnotesize\n{caption}\n{inside}\n\\end{{table}}"


def _long(grid: Grid) -> Iterator[str]:
    """Longtables, one a part of the columns, that break over pages."""
    parts = list(_parts(grid))
    for number, part in enumerate(parts, 1):
        which = f" ({number}/{len(parts)})" if len(parts) > 1 else ""
        heads = f"\\toprule\n{_heads(grid, part)}\n\\midrule"
        yield (f"{{\\footnotesize\n\\begin{{longtable}}{{{_sides(grid, part)}}}\n"
               f"\\caption{{{escaped(grid.title + which)}}} \\\\\n{heads}\n\\endfirsthead\n{heads}\n\\endhead\n"
               f"{_body(grid, part)}\n\\bottomrule\n\\end{{longtable}}\n}}")  # fmt: skip


def _parts(grid: Grid) -> Iterator[list[int]]:
    widths = [_width(grid, place) + _BETWEEN for place in range(len(grid.columns))]
    return cut(grid, widths, _LETTERS)


def _width(grid: Grid, place: int) -> int:
    column = grid.columns[place]
    longest = max(len(text) for text in (column.head, *(row.entries[place].text for row in grid.rows)))
    return min(longest, _LONGEST_NAME) if column.kind is ColumnKind.NAME else longest


def _heads(grid: Grid, part: Sequence[int]) -> str:
    columns = [grid.columns[place] for place in part]
    lines = [_line([escaped(column.head) + _above("", (column.note,) if column.note else ()) for column in columns])]
    if any(column.kind is ColumnKind.PUBLISHED for column in columns):
        lines.append(_line(["published" if column.kind is ColumnKind.PUBLISHED else "" for column in columns]))
    return "\n".join(lines)


def _body(grid: Grid, part: Sequence[int]) -> str:
    lines = []
    for place, row in enumerate(grid.rows):
        if row.whole and place and not grid.rows[place - 1].whole:
            lines.append("\\midrule")
        lines += _row(row, part)
    return "\n".join(lines)


def _row(row: TableRow, part: Sequence[int]) -> Iterator[str]:
    """A row, and its intervals on a line of their own."""
    entries = [row.entries[place] for place in part]
    below = any(entry.below for entry in entries)
    yield _line([_entry(entry) for entry in entries], together=below)
    if below:
        yield _line([f"{{\\scriptsize {escaped(entry.below)}}}" if entry.below else "" for entry in entries])


def _line(cells: list[str], *, together: bool = False) -> str:
    return " & ".join(cells) + (r" \\*" if together else r" \\")


def _entry(entry: Entry) -> str:
    text = f"\\textbf{{{escaped(entry.text)}}}" if entry.best else escaped(entry.text)
    return text + _above(entry.mark, entry.notes)


def _above(mark: str, notes: tuple[int, ...]) -> str:
    told = ", ".join([*([mark] if mark else []), *map(str, notes)])
    return f"\\textsuperscript{{{told}}}" if told else ""


def _sides(grid: Grid, part: Sequence[int]) -> str:
    return "".join(_side(grid.columns[place], _width(grid, place)) for place in part)


def _side(column: Column, width: int) -> str:
    """Names stand left, long ones in lines; figures right; published ones with a gap before them."""
    if column.kind is ColumnKind.NAME:
        return ">{\\raggedright\\arraybackslash}p{11em}" if width >= _LONGEST_NAME else "l"
    return "r" if column.kind is ColumnKind.FIGURE else "@{\\hspace{2em}}r"


def _notes(table: BenchmarkTable) -> Iterator[str]:
    for number, note in enumerate(table.numbered, 1):
        yield f"\\textsuperscript{{{number}}} {escaped(note)}"
    for note in table.notes:
        yield escaped(note)
