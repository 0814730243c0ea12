"""Kinds without annotations: one text per line, streamed, and written for people; pages of HTML."""

import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from nerbert.errors import visible
from nerbert.formats.format import Abilities, TextWriter, WritingRows
from nerbert.formats.rows import TEXT, Stream
from nerbert.records import Document, Repairs, Span
from nerbert.terminal import bracketed, coloured, is_terminal

if TYPE_CHECKING:
    from rich.console import Console


class PlainText:
    """The kind `text`: one text per line; its entities are written after it, for people."""

    suffixes = by_name = (".txt", ".text")
    streams = True
    holds = Abilities(nested=True)

    def read(self, source: Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield one text per line."""
        for line in source.lines():
            yield Document(line.text, fields={TEXT: line.text}, line=line.number, size=line.size)

    def writer(self, how: WritingRows) -> TextWriter:
        """Return a writer of tagged texts for people, in colour on a terminal."""
        page = io.StringIO()
        if not how.terminal and not is_terminal(page):
            return _plain_lines
        from rich.console import Console

        return partial(_shown, Console(file=page, soft_wrap=True, force_terminal=how.terminal or None), page)


class Page:
    """The kind `html`: a page for people; only written."""

    suffixes: ClassVar = (".html", ".htm")
    holds = Abilities()


def _shown(console: "Console", page: io.StringIO, row: Document) -> bytes:
    if row.text:
        print_tagged(console, row.text, row.spans)
    shown = page.getvalue().encode()
    page.seek(0)
    page.truncate()
    return shown


def _plain_lines(row: Document) -> bytes:
    lines = [bracketed(*each) for each in _marked_lines(row.text, row.spans)] if row.text else []
    return "".join(f"{line}\n" for line in [*lines, *map(_entity_row, row.spans)]).encode()


def print_tagged(console: "Console", text: str, spans: Sequence[Span]) -> None:
    """Print a text, line by line, with its entities in colour or brackets, then one entity per row."""
    for line, marked in _marked_lines(text, spans):
        console.print(coloured(console, line, marked))
    for each in spans:
        console.print(_entity_row(each), style="dim", markup=False, highlight=False, emoji=False)


def _marked_lines(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Yield each line with its entities, of nested ones the outermost."""
    for line, marked in lines_of(text, _outermost(spans)):
        yield line, [(start, end, span.type) for start, end, span in marked]


def _entity_row(each: Span) -> str:
    return f"  {each.start}–{each.end}  {visible(each.type)}  {each.confidence:.2f}  {visible(each.text)}"


def _outermost(spans: Iterable[Span]) -> list[Span]:
    """Return the spans, in order, that are in no other."""
    found = list[Span]()
    for each in spans:
        if not found or found[-1].end <= each.start:
            found.append(each)
    return found


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
