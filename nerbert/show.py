"""What people see: progress on standard error, coloured spans, control characters made visible.

Progress shows on terminals only, so logs and pipes stay clean.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from zlib import crc32

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green", "bright_magenta")


class Progress:
    """A running count of done items; `advance` is all that work needs to know of it."""

    def __init__(self, bar: RichProgress | None = None, task: int = 0) -> None:
        self._bar, self._task = bar, task

    def advance(self, items: int = 1, note: str = "") -> None:
        """Say that `items` more are done; `note` is shown beside the bar."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[self._task], advance=items, note=visible(note))


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """A progress bar on standard error; silent where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress()
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
    )  # fmt: skip
    with RichProgress(*columns, console=console, transient=True) as bar:
        bar.add_task(what, total=total, note="")
        yield Progress(bar)


def visible(text: str) -> str:
    """`text` with control characters escaped, so that no input drives the terminal."""
    if text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if _acts(char) else char for char in text)


def plain(value: object) -> Text:
    """`value` as it is, for rich: no markup is read in it, and its control characters are escaped."""
    return Text(visible(str(value)))


def _acts(char: str) -> bool:
    """Whether a character drives the terminal instead of being seen: controls, turns of direction, lone surrogates."""
    return (
        unicodedata.category(char) in ("Cc", "Cs") or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def coloured(text: str, spans: Iterable[tuple[int, int, str]]) -> Text:
    """`text` with each `(start, end, type)` in its type's colour and the type behind it; spans sorted, disjoint."""
    shown, place = Text(), 0
    for start, end, type_ in spans:
        colour = _COLOURS[crc32(type_.encode("utf-8", "surrogatepass")) % len(_COLOURS)]
        shown.append(visible(text[place:start]))
        shown.append(visible(text[start:end]), style=f"bold {colour} underline")
        shown.append(f" {visible(type_)}", style=f"dim {colour}")
        place = end
    shown.append(visible(text[place:]))
    return shown


def percent(share: float) -> str:
    """A figure of 0–1 as percent with two decimals, without the sign."""
    return f"{100 * share:.2f}"
