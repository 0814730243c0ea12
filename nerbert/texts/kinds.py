"""Kinds of files by name: the annotation formats, and those that only `nerbert tag` reads or writes (text, HTML).

A kind may have `streams` (reads a `Stream`), `writer` (by row), `write_rows`, `by_name` (suffixes that identify it).
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeAlias

from nerbert.errors import visible
from nerbert.formats.format import FORMATS, Abilities, TextWriter, WritingRows
from nerbert.formats.json_files import json_text, object_line
from nerbert.formats.lines import TEXT as TEXT_FIELD
from nerbert.formats.lines import Stream
from nerbert.records import Document, Repairs, Span
from nerbert.sources.files import BOM
from nerbert.terminal import bracket_spans, colour_spans, is_terminal

if TYPE_CHECKING:
    from rich.console import Console

TEXT, JSONL, CONLL, PARQUET, CSV, HTML = "text", "jsonl", "conll", "parquet", "csv", "html"
ROW_KINDS = (TEXT, JSONL, CSV, PARQUET)
"""Kinds of files that can be written from rows of fields."""
PACKED = (".gz", ".bz2", ".xz")
"""Suffixes of compressed files."""
Row: TypeAlias = Mapping[str, Any]
"""Fields in JSON types, including `text`."""


class PlainText:
    """The kind `text`: one text per line; its entities are written after it, for human readers."""

    suffixes = by_name = (".txt", ".text")
    streams = True
    holds = Abilities(nested=True)

    def read(self, source: Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield one text per line."""
        for line in source.lines():
            yield Document(line.text, fields={TEXT_FIELD: line.text}, line=line.number, size=line.size)

    def writer(self, writing: WritingRows) -> TextWriter:
        """Return a writer of tagged texts for human readers, in colour on a terminal."""
        page = io.StringIO()
        # Without a terminal, colours, and the library for them, aren't needed
        if not writing.terminal and not is_terminal(page):
            return _plain_lines
        from rich.console import Console

        return partial(_print_row, Console(file=page, soft_wrap=True, force_terminal=writing.terminal or None), page)


class Page:
    """The kind `html`: a page for human readers; write-only."""

    suffixes: ClassVar = (".html", ".htm")
    holds = Abilities()


_OTHERS = {TEXT: PlainText, HTML: Page}


def kind_named(name: str) -> Any:
    """Return a kind of files; raise SettingsError for an unknown name."""
    return _OTHERS[name]() if name in _OTHERS else FORMATS.find(name)()


def known_kinds() -> list[str]:
    """Return the names of all kinds; those that a suffix identifies come first."""
    names = (*_OTHERS, *FORMATS)
    return sorted(names, key=lambda name: name not in _by_suffix(names).values())


def is_known(name: str) -> bool:
    """Return whether this names a kind, or a user's kind as module:name, or is empty (no choice)."""
    return not name or name in _OTHERS or FORMATS.contains(name)


def can(name: str, *does: str) -> bool:
    """Return whether a kind has one of these members."""
    return any(getattr(kind_named(name), member, None) for member in does)


def keeps_rows(name: str) -> bool:
    """Return whether a kind is written with all fields of the input's rows, whatever their kind."""
    return name == HTML or can(name, "writer", "write_rows")


@cache
def _by_suffix(names: tuple[str, ...]) -> dict[str, str]:
    return {suffix: name for name in names for suffix in getattr(kind_named(name), "by_name", ())}


def kind_of_name(path: PurePath) -> str:
    """Return the kind that a file's name identifies, compressed or not; "" if only the content can decide."""
    return _by_suffix((*_OTHERS, *FORMATS)).get(unpacked_name(path).suffix.lower(), "")


def unpacked_name(path: PurePath) -> PurePath:
    """Return a file's name without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def write_rows(
    path: Path, kind: str, rows: Callable[[], Iterable[Row]], columns: Sequence[str], like: IO[bytes] | None = None
) -> None:
    """Write rows without entities as one of ROW_KINDS; Parquet calls `rows` twice, CSV needs the names of `columns`.

    Text gets a byte order mark, and a line break after the last line, only if the text `like` has them.
    """
    if kind == PARQUET:
        from nerbert.formats.arrow_rows import write_parquet

        write_parquet(path, lambda: (Document(row[TEXT_FIELD], fields=row) for row in rows()), path, tagged=False)
    elif kind == CSV:
        with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(columns)
            for row in rows():
                values = map(row.get, columns)
                table.writerow(value if isinstance(value, str | None) else json_text(value) for value in values)
    else:
        write = object_line if kind == JSONL else lambda row: f"{row[TEXT_FIELD]}\n".encode("utf-8", "replace")
        with path.open("wb") as stream:
            # The form of the input's first and last line is kept, so that an unchanged text stays equal
            first = last = like.read(1 << 20) if like and kind == TEXT else b"\n"
            while like and (block := like.read(1 << 20)):
                last = block
            stream.write(BOM if first.startswith(BOM) else b"")
            stream.writelines(map(write, rows()))
            if not last.endswith(b"\n") and stream.tell():
                stream.truncate(stream.tell() - 1)


def read_rows(path: Path, kind: str) -> Iterator[Document]:
    """Yield the rows of a file that `write_rows` wrote, with all fields."""
    source = Stream(str(path), lambda: path.open("rb"), path=path, strip="")
    yield from kind_named(kind).read(source, Repairs())


def _print_row(console: "Console", page: io.StringIO, row: Document) -> bytes:
    if row.text:
        print_tagged(console, row.text, row.spans)
    shown = page.getvalue().encode()
    page.seek(0)
    page.truncate()
    return shown


def _plain_lines(row: Document) -> bytes:
    lines = [bracket_spans(*marked) for marked in _marked_lines(row.text, row.spans)] if row.text else []
    return "".join(f"{line}\n" for line in [*lines, *map(_entity_row, row.spans)]).encode()


def print_tagged(console: "Console", text: str, spans: Sequence[Span]) -> None:
    """Print a text, line by line, with its entities in colour or brackets, then one entity per row."""
    for line, marked in _marked_lines(text, spans):
        console.print(colour_spans(console, line, marked))
    for span in spans:
        console.print(_entity_row(span), style="dim", markup=False, highlight=False, emoji=False)


def _marked_lines(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Yield each line with its entities; only the outermost of nested ones."""
    for line, marked in lines_of(text, _outermost(spans)):
        yield line, [(start, end, span.type) for start, end, span in marked]


def _entity_row(span: Span) -> str:
    return f"  {span.start}–{span.end}  {visible(span.type)}  {span.confidence:.2f}  {visible(span.text)}"


def _outermost(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that aren't nested in another, in order."""
    outermost = list[Span]()
    for span in spans:
        if not outermost or outermost[-1].end <= span.start:
            outermost.append(span)
    return outermost


def lines_of(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, list[tuple[int, int, Span]]]]:
    """Yield each line of a text with the parts of entities in it: (start, end) in the line, and the entity."""
    begin = 0
    waiting = deque(spans)
    for line in text.split("\n"):
        shown = line.rstrip("\r")
        end = begin + len(line)
        marked = []
        while waiting and waiting[0].start < end:
            span = waiting[0]
            start = max(0, span.start - begin)
            stop = min(len(shown), span.end - begin)
            if start < stop:
                marked.append((start, stop, span))
            if span.end > end:
                break
            waiting.popleft()
        yield shown, marked
        begin = end + 1
