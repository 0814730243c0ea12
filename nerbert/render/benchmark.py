"""A benchmark's table as files: Markdown, LaTeX, CSV and a page of HTML. The same table gives the same bytes.

Detail (F1 by type) is on the page and in the CSV only. Intervals and notes' numbers in Markdown use the HTML that
GitHub allows in a table; other viewers may show it as it is. LaTeX is for `\\input`: a table that fits a page is a
float, scaled down where it is too wide; a longer one breaks over pages, and its width is left to the author. Letters
that pdfLaTeX doesn't know (other scripts in a name) need LuaLaTeX or XeLaTeX.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nerbert.artifacts import publish
from nerbert.errors import InputError
from nerbert.render import render
from nerbert.render.markdown import Markdown
from nerbert.render.markdown import escaped as markdown_escaped
from nerbert.render.plots import line_plot
from nerbert.terminal import visible

if TYPE_CHECKING:
    from nerbert.evaluation.tables.grid import BenchmarkTable, Entry, Grid, TableRow

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NAME = re.compile(r"[\w][\w .-]{0,99}")
_LONG = 40
"""Rows above which the page folds all but the rows that sum up, and LaTeX breaks a table over pages."""
_BEGINS = re.compile(r"(\d*)([-+=.)])")
"""What begins a list, or underlines a title, at the start of a line of Markdown."""
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
    **{char: f"\\{char}" for char in "{}$&#%_"},
    **{char: f"{{{char}}}" for char in "[]*-"},
})  # fmt: skip
"""Brackets and stars would be taken for an option of the line's end, two hyphens for a dash."""


def write_tables(folder: Path, table: "BenchmarkTable", columns: Iterable[str]) -> list[Path]:
    """Write NAME.md, .tex, .html and .csv into a folder, each whole or not at all; return their paths.

    `columns` are the names of the records' columns.
    """
    if not _NAME.fullmatch(table.name):
        raise InputError(f"{table.name!r:.80}: can't name a file; use letters, digits, spaces, dots, hyphens")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ".md": markdown_of(table),
        ".tex": latex_of(table),
        ".html": page_of(table),
        ".csv": csv_of(table, columns),
    }
    for ending, text in texts.items():
        with publish(folder / f"{table.name}{ending}") as draft:
            draft.write_bytes(text.encode("utf-8", "backslashreplace"))
    return [folder / f"{table.name}{ending}" for ending in texts]


def page_of(table: "BenchmarkTable") -> str:
    """Return the page."""
    scores = [grid for grid in table.grids if grid.key == "scores"]
    others = [grid for grid in table.grids if grid.key != "scores" and not grid.folded]
    plots = [
        (f"{each.title}: F1 in percent against training sentences",
         line_plot(each.lines, each.styles, x_name="sentences", log=True)) for each in table.curves
    ]  # fmt: skip
    folded = [grid for grid in table.grids if grid.folded]
    return render(
        "benchmark.html.j2", table=table, scores=scores, others=others, folded=folded, plots=plots, long=_LONG
    )


def markdown_of(table: "BenchmarkTable") -> str:
    """Return the table as a Markdown document."""
    notes = [_line(note) for note in table.notes]
    numbered, facts = map(_line, table.numbered), {_line(name): text for name, text in table.facts.items()}
    return render("benchmark.md.j2", title=_line(table.title), about=_line(table.about), notes=notes, facts=facts,
                  numbered=list(numbered), grids=[grid for grid in table.grids if not grid.folded])  # fmt: skip


def _line(text: str) -> Markdown:
    """Return a text as one line that begins no list, no title and no code."""
    folded = markdown_escaped(" ".join(text.split()))
    return Markdown(_BEGINS.sub(r"\1\\\2", folded, count=1) if _BEGINS.match(folded) else folded)


def csv_of(table: "BenchmarkTable", columns: Iterable[str]) -> str:
    """Return the records as CSV in UTF-8: quoted as RFC 4180 says, but lines end with LF alone.

    A text that a spreadsheet would take for a formula (it begins with = + - @, tab or line end) gets a ' before it: the
    price is that pandas shows it too. Figures are left alone.
    """
    columns = list(columns)
    value = columns.index("value")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for record in table.records:
        writer.writerow(each if place == value else harmless(each) for place, each in enumerate(record))
    return text.getvalue()


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def latex_of(table: "BenchmarkTable") -> str:
    """Return all grids but the detail as LaTeX, each with its caption; the notes are below the scores."""
    head = r"% needs \usepackage[T1]{fontenc} and the packages booktabs, longtable and adjustbox"
    scores = [_latex_grid(grid) for grid in table.grids if grid.key == "scores"]
    others = [_latex_grid(grid) for grid in table.grids if grid.key != "scores" and not grid.folded]
    numbered = [f"\\textsuperscript{{{number}}} {latex(note)}" for number, note in enumerate(table.numbered, 1)]
    notes = [f"{{\\footnotesize\\raggedright {note}\\par}}" for note in (*numbered, *map(latex, table.notes))]
    return "\n\n".join([head, *scores, *notes, *others]) + "\n"


def latex(text: str) -> str:
    """Return a text in which LaTeX reads nothing; control characters become visible."""
    return visible(text).translate(_LATEX)


def _latex_grid(grid: "Grid") -> str:
    figures = len(grid.heads) - grid.names - grid.published
    sides = "l" * grid.names + "r" * figures + "@{\\hspace{2em}}r" * grid.published
    published = [""] * (len(grid.heads) - grid.published) + ["published"] * grid.published
    heads = "\n".join([_cells(map(_latex_entry, grid.heads)), *([_cells(published)] if grid.published else [])])
    caption, body = f"\\caption{{{latex(grid.title)}}}", "\n".join(_latex_rows(grid.rows))
    if len(grid.rows) <= _LONG:
        return (f"\\begin{{table}}[tp]\n\\centering\\footnotesize\n{caption}\n"
                "\\begin{adjustbox}{max width=\\textwidth, max totalheight=0.9\\textheight}\n"
                f"\\begin{{tabular}}{{{sides}}}\n\\toprule\n{heads}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
                "\\end{adjustbox}\n\\end{table}")  # fmt: skip
    heads = f"\\toprule\n{heads}\n\\midrule"
    return (f"{{\\scriptsize\n\\begin{{longtable}}{{{sides}}}\n{caption} \\\\\n{heads}\n\\endfirsthead\n{heads}\n"
            f"\\endhead\n{body}\n\\bottomrule\n\\end{{longtable}}\n}}")  # fmt: skip


def _latex_rows(rows: Iterable["TableRow"]) -> Iterator[str]:
    """Yield each row, and its intervals as a row below."""
    for place, row in enumerate(rows := list(rows)):
        if row.whole and place and not rows[place - 1].whole:
            yield "\\midrule"
        below = [f"{{\\scriptsize {latex(entry.below)}}}" if entry.below else "" for entry in row.entries]
        yield _cells(map(_latex_entry, row.entries)) + ("*" if any(below) else "")
        if any(below):
            yield _cells(below)


def _latex_entry(entry: "Entry") -> str:
    text = f"\\textbf{{{latex(entry.text)}}}" if entry.best else latex(entry.text)
    above = ", ".join(filter(None, (entry.mark, *map(str, entry.notes))))
    return f"{text}\\textsuperscript{{{above}}}" if above else text


def _cells(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
