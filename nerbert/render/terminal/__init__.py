"""Reports on the terminal; one of 80 columns is enough. A template has the sentences, `table` draws the tables."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nerbert.render import render
from nerbert.terminal import plain

if TYPE_CHECKING:
    from nerbert.doctor import Finding


def table(
    heads: Sequence[str | Text], rows: Iterable[Sequence[object]], *, numbers: Collection[int] = (), title: str = ""
) -> Table:
    """Return a table that wraps where the terminal ends, without loss; columns in `numbers` align right.

    Whole numbers get thousands marked, None is a dash, control characters become visible; a `Text` keeps its style.
    """
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    drawn.title = plain(title) if title else None
    for place, head in enumerate(heads):
        drawn.add_column(_shown(head), justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(_shown, row))
    return drawn


def say(console: Console, template: str, /, style: str = "", **facts: Any) -> None:
    """Print the lines of a text template; a value is neither markup nor control, and stays on its line."""
    for line in render(f"terminal/{template}.txt.j2", **facts).splitlines():
        console.print(plain(line), style=style, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON in ASCII, so that nothing in it drives the terminal."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def _shown(cell: object) -> Text:
    if isinstance(cell, Text):
        return cell
    if cell is None:
        return plain("–")
    return plain(f"{cell:,}" if isinstance(cell, int) else cell)


_STYLES = {"ok": "green", "missing": "yellow", "wrong": "bold red"}


def print_findings(findings: "Sequence[Finding]", *, as_json: bool) -> bool:
    """Print a line for each finding, then what helps; return whether nothing is wrong."""
    if as_json:
        print_json([each._asdict() for each in findings])
    else:
        console, rows = Console(), []
        for each in findings:
            state = plain(each.state)
            state.stylize(_STYLES[each.state])
            rows.append([each.what, state, each.found])
        console.print(table(["what", "", "found"], rows))
        for each in findings:
            if each.advice:
                console.print(plain(f"{each.what}: {each.found}: {each.advice}"))
    return all(each.state != "wrong" for each in findings)
