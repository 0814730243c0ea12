"""Text: a row a line; tagged text for people, coloured on a terminal, with brackets in a file.

Control characters are escaped in both.
"""

import io
from collections import deque
from collections.abc import Iterator, Sequence

from rich.console import Console

from nerbert.formats.rows import TEXT, Block, Lines, LineWriter, Tagged, TextRow
from nerbert.records import Span
from nerbert.terminal import coloured, visible


def text_rows(lines: Lines, field: str) -> Iterator[TextRow | None]:
    """Yield a row a line; None where `lines` has it."""
    for line in lines:
        yield None if line is None else TextRow(line.number, line.text, None, {TEXT: line.text}, line.text)


def text_writer(*, terminal: bool = False) -> LineWriter:
    """Return what writes tagged rows as people read them, in colour if that is a terminal."""
    page = io.StringIO()
    console = Console(file=page, soft_wrap=True, force_terminal=True if terminal else None)

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans in zip(block.rows, found, strict=True):
            if row.text:
                print_tagged(console, row.text, spans)
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()

    return lines


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
