"""A benchmark's table as one page of HTML: no script, no request, light and dark, readable on a phone.

A table stands in a box of its own that scrolls both ways, with its head and its rows' names in sight; the price is that
a row's names (target, size, system) share a cell. Long tables but the first are folded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nerbert.evaluation.tables.grid import BenchmarkTable, Column, ColumnKind, Entry, Grid, TableRow
from nerbert.render.benchmark.plots import plot
from nerbert.render.markup import Child, Markup, document, tag

_STYLE = Path(__file__).with_name("page.css")
_LONGEST_WORD = 20
_LONG = 40
"""Rows above which a grid that isn't the first is folded."""


def page_of(table: BenchmarkTable) -> str:
    """The whole page as text."""
    return document(table.title, tag("main", list(_sections(table))), style=_STYLE.read_text(encoding="utf-8"))


def _sections(table: BenchmarkTable) -> Iterator[Markup]:
    about = tag("p", table.about, class_="lead") if table.about else None
    yield tag("header", tag("h1", table.title), about)
    scores = [grid for grid in table.grids if grid.key == "scores"]
    for place, grid in enumerate(scores, 1):
        yield tag("section", tag("h2", grid.title), _grid(grid), _numbered(table) if place == len(scores) else None)
    if table.curves:
        yield tag("section", tag("h2", "Learning curves"), [plot(each, n) for n, each in enumerate(table.curves)],
                  tag("p", "Bands: 95 % confidence interval of the mean.", class_="told"))  # fmt: skip
    for grid in table.grids:
        if grid not in scores and not grid.folded:
            yield tag("section", tag("h2", grid.title), list(_parts(grid)))
    folded = [_details(grid.title, grid) for grid in table.grids if grid.folded]
    if folded:
        yield tag("section", tag("h2", "F1 by type"), folded)
    yield tag("section", tag("h2", "How to read it"), tag("ul", [tag("li", note) for note in table.notes]))
    facts = [tag("div", tag("dt", name), tag("dd", text)) for name, text in table.facts.items()]
    yield tag("section", tag("h2", "How it was made"), tag("dl", facts))


def _parts(grid: Grid) -> Iterator[Markup]:
    """A grid; where it is long, what sums up the others stands open and the rest is folded, target by target."""
    if len(grid.rows) <= _LONG:
        yield _grid(grid)
        return
    whole = tuple(row for row in grid.rows if row.whole)
    if whole:
        yield _grid(replace(grid, rows=whole))
    targets: dict[str, list[TableRow]] = {}
    for row in grid.rows:
        if not row.whole:
            targets.setdefault(row.entries[0].text, []).append(row)
    for target, rows in targets.items():
        yield _details(f"{target}: {len(rows)} rows", replace(grid, rows=tuple(rows)))


def _details(title: str, grid: Grid) -> Markup:
    return tag("details", tag("summary", title), _grid(grid))


def _numbered(table: BenchmarkTable) -> Markup | None:
    notes = [tag("li", note, id=f"n{number}") for number, note in enumerate(table.numbered, 1)]
    return tag("ol", notes, class_="told") if notes else None


def _grid(grid: Grid) -> Markup:
    """A table in a box that scrolls; the head and each row's names, all in one cell, stay in sight."""
    names = [column.head for column in grid.columns if column.kind is ColumnKind.NAME]
    others = grid.columns[len(names) :]
    corner = tag("th", _words(names[0]), _small(names[1:]), scope="col")
    heads = tag("tr", corner, [_head(column) for column in others])
    body = [_row(row, len(names), others) for row in grid.rows]
    table = tag("table", tag("thead", _above(others), heads), tag("tbody", body))
    return tag("div", table, class_="wide", tabindex="0", role="region", aria_label=grid.title)


def _above(columns: Sequence[Column]) -> Markup | None:
    """What is measured here and what is published, over their columns, where there is both."""
    published = sum(column.kind is ColumnKind.PUBLISHED for column in columns)
    if not published:
        return None
    ours = len(columns) - published
    ends = (("measured here", ours, "over"), ("published", published, "over pub"))
    cells = [
        tag("th", tag("span", head, class_="stay"), colspan=number, scope="colgroup", class_=kind)
        for head, number, kind in ends
    ]
    return tag("tr", tag("td", class_="corner"), cells)


def _small(texts: Iterable[str]) -> Markup | None:
    told = ", ".join(texts)
    return tag("small", _words(told)) if told else None


def _words(text: str) -> list[Child]:
    """A name whose words with a hyphen don't break there, unless they are too long for a column."""
    told: list[Child] = []
    for word in text.split(" "):
        told += [" "] if told else []
        told.append(tag("span", word, class_="word") if "-" in word and len(word) <= _LONGEST_WORD else word)
    return told


def _head(column: Column) -> Markup:
    return tag(
        "th", _words(column.head), _links((column.note,) if column.note else ()), scope="col", class_=_kind(column)
    )


def _row(row: TableRow, names: int, others: Sequence[Column]) -> Markup:
    first, *more = row.entries[:names]
    cells = [tag("th", _words(first.text), _links(first.notes), _small(each.text for each in more), scope="row")]
    for entry, column in zip(row.entries[names:], others, strict=True):
        cells.append(tag("td", _entry(entry), class_=_kind(column)))
    return tag("tr", cells, class_="whole" if row.whole else None)


def _entry(entry: Entry) -> list[Child]:
    text = tag("b", entry.text) if entry.best else entry.text
    mark = tag("sup", entry.mark) if entry.mark else None
    return [text, mark, _links(entry.notes), tag("small", entry.below) if entry.below else None]


def _links(notes: tuple[int, ...]) -> list[Markup]:
    return [tag("sup", tag("a", str(note), href=f"#n{note}")) for note in notes]


def _kind(column: Column) -> str | None:
    return {ColumnKind.NAME: None, ColumnKind.FIGURE: "n", ColumnKind.PUBLISHED: "n pub"}[column.kind]
