"""The bars that `nerbert.terminal` shows on standard error, where that is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_PERIOD = 3600.0
"""Seconds that the time left is estimated from: a step may take minutes."""


@contextmanager
def item_bar(what: str, total: int | None) -> Iterator[Progress | None]:
    """Provide a bar over a number of items; None where standard error is no terminal."""
    with _bar(what, total, MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as bar:
        yield bar


@contextmanager
def byte_bar(what: str, size: int | None) -> Iterator[Progress | None]:
    """Provide a bar over bytes of input, with the count of items; None where standard error is no terminal."""
    items = TextColumn("{task.fields[items]} " + what, markup=False)
    with _bar("", size, items, TransferSpeedColumn(), TimeRemainingColumn()) as bar:
        yield bar


@contextmanager
def _bar(what: str, total: int | None, *columns: ProgressColumn) -> Iterator[Progress | None]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    name, note = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[note]}"))
    with Progress(
        name, BarColumn(20), *columns, note, console=console, transient=True, speed_estimate_period=_PERIOD
    ) as bar:
        bar.add_task(what, total=total, note="", items="0")
        yield bar
