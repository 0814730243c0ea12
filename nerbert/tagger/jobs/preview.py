"""Tagged text for people: coloured on a terminal, with brackets in a file, control characters escaped in both."""

import io
import sys
from collections import deque
from collections.abc import Iterator, Sequence

from rich.console import Console

from nerbert.formats.rows import TextRow
from nerbert.records import Span
from nerbert.terminal import coloured, visible


def print_tagged(console: Console, text: str, spans: Sequence[Span]) -> None:
    """Print a text, line by line, with its entities in colour or brackets, then an entity a row."""
    for line, marked in lines_of(text, spans):
        console.print(coloured(console, line, [(start, end, span.type) for start, end, span in marked]))
    for each in spans:
        row = f"  {each.start}–{each.end}  {visible(each.type)}  {each.confidence:.2f}  {visible(each.text)}"
        console.print(row, style="dim", markup=False, highlight=False)


def lines_of(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, list[tuple[int, int, Span]]]]:
    """Yield each line of a text with the parts of entities in it: (start, end) in the line, and the entity."""
    begin, waiting = 0, deque(spans)
    for line in text.split("\n"):
        shown, end = line.rstrip("\r"), begin + len(line)
        marked = []
        while waiting and waiting[0].start < end:
            span = waiting[0]
            start, stop = max(0, span.start - begin), min(len(shown), span.end - begin)
            if start < stop:
                marked.append((start, stop, span))
            if span.end > end:
                break
            waiting.popleft()
        yield shown, marked
        begin = end + 1


class TextRows:
    """Rows as text for people; colours if that is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        self._page = io.StringIO()
        self._console = Console(file=self._page, soft_wrap=True, force_terminal=True if terminal else None)

    def text(self, row: TextRow, spans: Sequence[Span]) -> bytes:
        """Return a row as text; nothing for one without text."""
        if row.text:
            print_tagged(self._console, row.text, spans)
        shown = self._page.getvalue()
        self._page.seek(0)
        self._page.truncate()
        return shown.encode()


def on_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()
