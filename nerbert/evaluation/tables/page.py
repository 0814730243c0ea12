"""A benchmark's table as one page of HTML: no script, no request, light and dark, readable on a phone.

Texts become markup only through `nerbert.corpus.page.html.tag`, which escapes them; a policy in the page forbids the
browser everything but its own style.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from nerbert.corpus.page.html import Child, Markup, tag
from nerbert.evaluation.tables.grid import Column, Entry, Grid, Kind, Row, Table
from nerbert.evaluation.tables.plots import plot

_STYLE = Path(__file__).with_name("page.css")


def page_of(table: Table) -> str:
    """The whole page as text."""
    style = Markup(_STYLE.read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    top = tag(
        "head",
        tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"), tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"), tag("title", table.title), tag("style", style),
    )  # fmt: skip
    whole = tag("html", top, tag("body", tag("main", list(_sections(table)))), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _sections(table: Table) -> Iterator[Markup]:
    about = tag("p", table.about, class_="lead") if table.about else None
    yield tag("header", tag("h1", table.title), about)
    first, *others = [grid for grid in table.grids if not grid.folded]
    yield tag("section", tag("h2", first.title), _grid(first), _numbered(table))
    if table.curves:
        yield tag("section", tag("h2", "Learning curves"), [plot(each, n) for n, each in enumerate(table.curves)],
                  tag("p", "Bands: 95 % confidence interval of the mean.", class_="told"))  # fmt: skip
    for grid in others:
        yield tag("section", tag("h2", grid.title), _grid(grid))
    folded = [tag("details", tag("summary", grid.title), _grid(grid)) for grid in table.grids if grid.folded]
    if folded:
        yield tag("section", tag("h2", "F1 by type"), folded)
    yield tag("section", tag("h2", "How to read it"), tag("ul", [tag("li", note) for note in table.notes]))
    facts = [tag("div", tag("dt", name), tag("dd", text)) for name, text in table.facts.items()]
    yield tag("section", tag("h2", "How it was made"), tag("dl", facts))


def _numbered(table: Table) -> Markup | None:
    notes = [tag("li", note, id=f"n{number}") for number, note in enumerate(table.numbered, 1)]
    return tag("ol", notes, class_="told") if notes else None


def _grid(grid: Grid) -> Markup:
    heads = tag("tr", [_head(column) for column in grid.columns])
    body = [_row(row, grid.columns) for row in grid.rows]
    table = tag("table", tag("thead", _above(grid), heads), tag("tbody", body))
    return tag("div", table, class_="wide", tabindex="0", role="region", aria_label=grid.title)


def _above(grid: Grid) -> Markup | None:
    """What is measured here and what is published, over their columns, where there is both."""
    published = _published(grid)
    if not published:
        return None
    names = sum(column.kind is Kind.NAME for column in grid.columns)
    ours = len(grid.columns) - names - published
    cells = [tag("th", "measured here", colspan=ours, scope="colgroup", class_="over"),
             tag("th", "published", colspan=published, scope="colgroup", class_="over pub")]  # fmt: skip
    return tag("tr", tag("td", colspan=names), cells)


def _published(grid: Grid) -> int:
    return sum(column.kind is Kind.PUBLISHED for column in grid.columns)


def _head(column: Column) -> Markup:
    below = tag("small", column.below) if column.below else None
    return tag("th", column.head, _links((column.note,) if column.note else ()), below, scope="col",
               class_=_kind(column))  # fmt: skip


def _row(row: Row, columns: tuple[Column, ...]) -> Markup:
    cells: list[Child] = []
    for place, (entry, column) in enumerate(zip(row.entries, columns, strict=True)):
        scope = {"scope": "row"} if place == 0 else {}
        cells.append(tag("th" if place == 0 else "td", _entry(entry), class_=_kind(column), **scope))
    return tag("tr", cells, class_="whole" if row.whole else None)


def _entry(entry: Entry) -> list[Child]:
    text = tag("b", entry.text) if entry.best else entry.text
    mark = tag("sup", entry.mark) if entry.mark else None
    return [text, mark, _links(entry.notes), tag("small", entry.below) if entry.below else None]


def _links(notes: tuple[int, ...]) -> list[Markup]:
    return [tag("sup", tag("a", str(note), href=f"#n{note}")) for note in notes]


def _kind(column: Column) -> str | None:
    return {Kind.NAME: None, Kind.FIGURE: "n", Kind.PUBLISHED: "n pub"}[column.kind]
