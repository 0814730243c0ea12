"""Output for people: progress on standard error (only on terminals), coloured spans, escaped control characters."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO
from zlib import crc32

from nerbert.errors import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.text import Text

_PERIOD = 3600.0
"""Window for estimating the time left, in seconds; long, since a step may take minutes."""
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green", "bright_magenta")


class Progress:
    """A running count of finished items; jobs call only `advance`.

    Items of an earlier run count as done, but not towards the speed or the time left.
    """

    def __init__(self, bar: "RichProgress | None" = None, *, of_bytes: bool = False) -> None:
        self._bar, self._of_bytes = bar, of_bytes
        self.items = self.items_before = 0

    def __reduce__(self) -> tuple[type["Progress"], tuple[()]]:
        """Unpickle without the bar: progress is silent in other processes."""
        return Progress, ()

    def advance(self, items: int = 1, note: str = "", *, size: int = 0, before: bool = False) -> None:
        """Count `items` more as done, from `size` bytes of input; `note` is shown next to the bar. `before`: an earlier
        run did them.
        """
        self.items += items
        self.items_before += items if before else 0
        if self._bar is not None:
            task = self._bar.tasks[0]
            step = size if self._of_bytes else items
            if before:
                # Set directly: `advance` would count it into the speed.
                task.completed += step
            self._bar.update(task.id, advance=0 if before else step, note=visible(note), items=f"{self.items:,}")


class _StepLog(Progress):
    """Progress without a terminal: a line after each tenth of the steps, with the time left."""

    def __init__(self, what: str, total: int) -> None:
        super().__init__()
        self._what = what
        self._total = total
        self._begin = time.monotonic()

    def advance(self, items: int = 1, note: str = "", *, size: int = 0, before: bool = False) -> None:
        tenths = 10 * self.items // self._total
        super().advance(items, note, size=size, before=before)
        if not before and 10 * self.items // self._total > tenths:
            # Steps of an earlier run took none of this time.
            seconds = (time.monotonic() - self._begin) / (self.items - self.items_before)
            left = duration(seconds * (self._total - self.items))
            tell(f"{self._what}: step {self.items:,} of {self._total:,}, {note}, {left} left")


@contextmanager
def progress(
    what: str, total: int | None = None, *, of_bytes: bool = False, logged: bool = False
) -> Iterator[Progress]:
    """Provide a progress bar over items, or over bytes of input with their speed. Without a terminal, print nothing, or
    with `logged` a line after each tenth of the steps.
    """
    if not is_terminal(sys.stderr):
        # In a log file, a bar would be thousands of lines.
        yield _StepLog(what, total) if logged and total else Progress(of_bytes=of_bytes)
        return
    from rich import progress as rich
    from rich.console import Console

    items = (rich.MofNCompleteColumn(), rich.TimeElapsedColumn())
    sizes = (rich.TextColumn("{task.fields[items]} " + what, markup=False), rich.TransferSpeedColumn())
    name, note = (rich.TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[note]}"))
    with rich.Progress(
        name,
        rich.BarColumn(20),
        *(sizes if of_bytes else items),
        rich.TimeRemainingColumn(),
        note,
        console=Console(stderr=True),
        transient=True,
        speed_estimate_period=_PERIOD,
    ) as bar:
        bar.add_task("" if of_bytes else what, total=total, note="", items="0")
        yield Progress(bar, of_bytes=of_bytes)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal, or the environment declares it one; the rules are those of rich."""
    # Notebooks and CI show colours, but aren't terminals.
    if (compatible := os.environ.get("TTY_COMPATIBLE")) in ("0", "1"):
        return compatible == "1"
    if (forced := os.environ.get("FORCE_COLOR")) is not None:
        return forced != ""
    return stream is not None and stream.isatty()


def tell(line: str) -> None:
    """Print a line to standard error, without buffering."""
    # One write: `print` writes the line end apart, so lines of processes could mix.
    sys.stderr.write(f"{visible(line)}\n")
    sys.stderr.flush()


def plain(value: object) -> "Text":
    """Return `value` for rich without markup, its control characters escaped."""
    from rich.text import Text

    return Text(visible(str(value)))


def bracket_spans(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """Return `text` with each `(start, end, type)` as `[text|type]`; spans are sorted and disjoint."""
    marked, position = "", 0
    for start, end, type_ in spans:
        marked += f"{visible(text[position:start])}[{visible(text[start:end])}|{visible(type_)}]"
        position = end
    return marked + visible(text[position:])


def colour_spans(console: "Console", text: str, spans: Iterable[tuple[int, int, str]]) -> "Text":
    """Return `text` with each `(start, end, type)` in its type's colour, then the type; spans are sorted and disjoint.
    Without colours, entities are in brackets.
    """
    from rich.text import Text

    if console.color_system is None:
        return Text(bracket_spans(text, spans))
    marked = Text()
    position = 0
    for start, end, type_ in spans:
        colour = _COLOURS[crc32(type_.encode("utf-8", "surrogatepass")) % len(_COLOURS)]
        marked.append(visible(text[position:start]))
        marked.append(visible(text[start:end]), style=f"bold {colour} underline")
        marked.append(f" {visible(type_)}", style=f"dim {colour}")
        position = end
    marked.append(visible(text[position:]))
    return marked


def duration(seconds: float) -> str:
    """Format seconds in readable units: `0.25 s`, `42 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    # 59.7 s would print as "60 s".
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{hours // 24} d {hours % 24} h"


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """Provide standard output as bytes; flush it at the end, so that a closed pipe is detected here and not at exit."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    # `nerbert tag … | head` is no error: the command ends in silence.
    except BrokenPipeError:
        raise
    except OSError as error:
        from nerbert.artifacts import unwritable

        raise unwritable("standard output", error) from error


def percent(share: float) -> str:
    """Format a share (0–1) in percent with two decimals, without the percent sign."""
    return f"{100 * share:.2f}"
