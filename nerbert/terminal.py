"""What people see: progress on standard error, coloured spans, control characters made visible.

Progress shows on terminals only, so logs and pipes stay clean.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from zlib import crc32

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from nerbert.errors import visible

_PERIOD = 3600.0
"""Seconds that the time left is estimated from: a step may take minutes."""
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green", "bright_magenta")


class Progress:
    """A running count of done items; `advance` is all that work needs to know of it.

    What an earlier run had done counts as done, but not towards the speed, nor the time that is left.
    """

    def __init__(self, bar: RichProgress | None = None, *, of_bytes: bool = False) -> None:
        self._bar, self._of_bytes = bar, of_bytes
        self.items = self.items_before = 0

    def __reduce__(self) -> tuple[type["Progress"], tuple[()]]:
        """Become a count that shows nothing in another process."""
        return Progress, ()

    def advance(self, items: int = 1, note: str = "", *, size: int = 0, before: bool = False) -> None:
        """Say that `items` more are done, from `size` bytes of input; `note` is shown beside the bar.

        `before` says that an earlier run did them.
        """
        self.items += items
        self.items_before += items if before else 0
        if self._bar is not None:
            task, step = self._bar.tasks[0], size if self._of_bytes else items
            if before:
                task.completed += step
            advance = 0 if before else step
            self._bar.update(task.id, advance=advance, note=visible(note), items=f"{self.items:,}")


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Provide a progress bar on standard error; silent where that is no terminal."""
    with _bar(what, total, MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as bar:
        yield Progress(bar)


@contextmanager
def throughput(what: str, size: int | None) -> Iterator[Progress]:
    """Provide a progress bar over `size` bytes of input, with speed and time left; silent without a terminal."""
    items = TextColumn("{task.fields[items]} " + what, markup=False)
    with _bar("", size, items, TransferSpeedColumn(), TimeRemainingColumn()) as bar:
        yield Progress(bar, of_bytes=True)


@contextmanager
def _bar(what: str, total: int | None, *columns: ProgressColumn) -> Iterator[RichProgress | None]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    name, note = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[note]}"))
    with RichProgress(
        name, BarColumn(20), *columns, note, console=console, transient=True, speed_estimate_period=_PERIOD
    ) as bar:
        bar.add_task(what, total=total, note="", items="0")
        yield bar


def tell(line: str) -> None:
    """Say something on standard error, at once."""
    sys.stderr.write(f"{visible(line)}\n")
    sys.stderr.flush()


def plain(value: object) -> Text:
    """Return `value` as it is, for rich: no markup is read in it, and its control characters are escaped."""
    return Text(visible(str(value)))


def coloured(console: Console, text: str, spans: Iterable[tuple[int, int, str]]) -> Text:
    """Return `text` with each `(start, end, type)` in its type's colour, then the type; spans are sorted, disjoint.

    On a console without colours an entity is `[text|type]`.
    """
    before, between, after = ("[", "|", "]") if console.color_system is None else ("", " ", "")
    shown, place = Text(), 0
    for start, end, type_ in spans:
        colour = _COLOURS[crc32(type_.encode("utf-8", "surrogatepass")) % len(_COLOURS)]
        shown.append(f"{visible(text[place:start])}{before}")
        shown.append(visible(text[start:end]), style=f"bold {colour} underline")
        shown.append(f"{between}{visible(type_)}", style=f"dim {colour}")
        shown.append(after)
        place = end
    shown.append(visible(text[place:]))
    return shown


def duration(seconds: float) -> str:
    """Return seconds in readable units: `0.25 s`, `42 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def percent(share: float) -> str:
    """Return a share (0–1) in percent with two decimals, without the sign."""
    return f"{100 * share:.2f}"
