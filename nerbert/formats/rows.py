"""Rows of a user's file: a text, or its words, and all other fields; and the lines and blocks that they come in.

A read waits only while there is nothing, so a slow pipe is read line by line. The price: a line is held whole, so one
longer than `LONGEST_LINE` is refused.
"""

import codecs
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from nerbert.errors import InputError, NerbertError, at, os_refused, visible
from nerbert.records import Example, Span
from nerbert.sources.files import BOM
from nerbert.terminal import bracketed, coloured, is_terminal

if TYPE_CHECKING:
    from rich.console import Console

TEXT, TOKENS, SPANS = "text", "tokens", "spans"
"""Names of fields: the text; its words as strings; entities."""
ERRORS = ("strict", "replace")
"""What may become of bytes that are no UTF-8: an error, or U+FFFD."""
LONGEST_LINE = 1 << 28
"""Bytes; a text that long is no text that someone wrote."""
LONGEST_FILE = 1 << 30
"""Bytes of a file that is held whole."""
UTF_16 = "text in UTF-16 (save it as UTF-8, or: iconv -f UTF-16 -t UTF-8)"
"""What files of such text seem to be, for messages."""
_BLOCK = 1 << 16
_PARQUET = b"PAR1"


class Line(NamedTuple):
    """A line of a file, decoded, without its end."""

    source: str
    number: int
    text: str

    def place(self) -> AbstractContextManager[None]:
        """Add the line's place to errors raised inside."""
        return at(self.source, self.number)


class TextRow(NamedTuple):
    """A text and its line or row number; `example` has its words if given, `source` the lines that it was read from."""

    number: int
    text: str
    example: Example | None
    fields: Mapping[str, Any]
    source: str = ""

    @property
    def size(self) -> int:
        """Return the bytes that the row was read from."""
        return len(self.source.encode()) + 1


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of the file `name` that are tagged together, from so many bytes; `batch` has the columns of Parquet's rows.

    `digest` tells these rows from any others; only blocks of a file that is made in parts have it.
    """

    name: str
    rows: Sequence[TextRow]
    size: int
    batch: Any = None
    digest: str = ""


Lines = Iterable[Line | None]
"""Lines as they come; None stands where the next one may take a while."""
Tagged = Iterable[Sequence[Span]]
"""The entities of each row of a block."""
LineWriter = Callable[[Block, Tagged], Iterator[bytes]]
"""Yields the tagged rows of a block as bytes, row by row."""
TaggedFile = Iterable[tuple[Block, Tagged]]
"""The blocks of a file with their entities; each iteration reads the file anew."""


def read_lines(
    stream: IO[bytes], source: Path | str, errors: str = "", strip: str = "\r"
) -> Iterator[Line | None]:  # fmt: skip
    """Yield the lines of a stream, and None after those that each read brings; `errors` is as in `decoded`.

    The characters of `strip` are taken off a line's end.
    """
    read: Any = getattr(stream, "read1", stream.read)
    name, number, rest, held = str(source), 0, list[bytes](), 0
    while block := read(_BLOCK):
        lines, newline, tail = block.rpartition(b"\n")
        if newline:
            for number, raw in enumerate(b"".join([*rest, lines]).split(b"\n"), number + 1):  # noqa: B020
                yield _line(name, number, raw, errors, strip)
            yield None
            rest, held = [], 0
        if tail:
            rest.append(tail)
            held += len(tail)
        if held > LONGEST_LINE:
            with at(name, number + 1):
                raise InputError(f"a line of more than {LONGEST_LINE} bytes is no text; break it into lines")
    if rest:
        yield _line(name, number + 1, b"".join(rest), errors, strip)


def _line(source: str, number: int, raw: bytes, errors: str, strip: str) -> Line:
    if number > 1 and raw.isascii():
        return Line(source, number, raw.decode().rstrip(strip))
    with at(source, number):
        if number == 1 and raw.startswith(_PARQUET):
            raise InputError("is Parquet, not text; pass --from parquet")
        return Line(source, number, decoded(raw, number, errors).rstrip(strip))


def decoded(raw: bytes, number: int, errors: str = "") -> str:
    """Return a line's text; the first line may begin with a byte order mark.

    `errors` is one of ERRORS where the user can choose, and "" where bytes that are no UTF-8 are always refused.
    """
    if number == 1:
        raw = raw.removeprefix(BOM)
        if is_utf16(raw):
            raise InputError(f"seems to be {UTF_16}")
    try:
        return raw.decode("utf-8", errors or "strict")
    except UnicodeDecodeError as error:
        other = " (or pass --errors replace)" if errors else ""
        raise InputError(f"not UTF-8 at byte {error.start} of the line; convert the text to UTF-8{other}") from None


def read_whole(path: Path) -> str:
    """Return a file's text as it is; raise InputError for one that is too long, or isn't in UTF-8."""
    with os_refused(f"{path}: can't be read"), path.open("rb") as stream:
        raw = stream.read(LONGEST_FILE + 1)
    if len(raw) > LONGEST_FILE:
        raise InputError(
            f"{path}: more than {LONGEST_FILE} bytes; break it into parts, or write JSON as an object a line"
        )
    if is_utf16(raw):
        raise InputError(f"{path}: seems to be {UTF_16}")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        with at(path, raw.count(b"\n", 0, error.start) + 1):
            raise InputError("not UTF-8; convert the text to UTF-8") from None


def is_utf16(start: bytes) -> bool:
    """Return whether text that begins like this is in UTF-16: by its mark, or as every other byte is a zero."""
    if start.startswith(codecs.BOM_UTF32_LE) or len(start) < 2:
        return False
    even, odd = start[:1000:2], start[1:1000:2]
    few, many = sorted(each.count(0) / len(each) for each in (even, odd))
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (few < 0.1 and many > 0.7)


def blocks_at_hand(name: str, rows: Iterable[TextRow | None]) -> Iterator[Block]:
    """Yield rows in blocks as they come, of about 64 KiB at most; the rows before a fault are a block of their own."""
    held, size, fault = list[TextRow](), 0, None
    try:
        for row in rows:
            if row is not None:
                held.append(row)
                size += row.size
            if held and (row is None or size >= _BLOCK):
                yield Block(name, held, size)
                held, size = [], 0
    except NerbertError as error:
        fault = error
    if held:
        yield Block(name, held, size)
    if fault is not None:
        raise fault


def checked_words(value: object, field: str) -> list[str]:
    """Return `value` if it is a list of words; raise InputError that names the invalid one."""
    if not isinstance(value, list):
        raise InputError(f"field {field!r} holds {value!r:.60}: must be a text, or a list of words")
    for place, word in enumerate(value):
        if not isinstance(word, str) or not word:
            raise InputError(f"field {field!r}: word {place} (from 0) is {word!r:.60}: must be a text that isn't empty")
    return value


def span_json(span: Span) -> dict[str, str | int | float]:
    """Return a span as JSON: text, type, character start and end, confidence."""
    return {
        "text": span.text, "type": span.type, "start": span.start, "end": span.end,
        "confidence": round(span.confidence, 4),
    }  # fmt: skip


def text_rows(lines: Lines, field: str) -> Iterator[TextRow | None]:
    """Yield a row a line; None where `lines` has it."""
    for line in lines:
        yield None if line is None else TextRow(line.number, line.text, None, {TEXT: line.text}, line.text)


def text_writer(*, terminal: bool = False) -> LineWriter:
    """Return what writes tagged rows as people read them, in colour if that is a terminal."""
    page = io.StringIO()
    if not terminal and not is_terminal(page):
        return _plain_lines
    from rich.console import Console

    console = Console(file=page, soft_wrap=True, force_terminal=True if terminal else None)

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans in zip(block.rows, found, strict=True):
            if row.text:
                print_tagged(console, row.text, spans)
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()

    return lines


def _plain_lines(block: Block, found: Tagged) -> Iterator[bytes]:
    for row, spans in zip(block.rows, found, strict=True):
        lines = [bracketed(*each) for each in _marked_lines(row.text, spans)] if row.text else []
        yield "".join(f"{line}\n" for line in [*lines, *map(_entity_row, spans)]).encode()


def print_tagged(console: "Console", text: str, spans: Sequence[Span]) -> None:
    """Print a text, line by line, with its entities in colour or brackets, then an entity a row."""
    for line, marked in _marked_lines(text, spans):
        console.print(coloured(console, line, marked))
    for each in spans:
        console.print(_entity_row(each), style="dim", markup=False, highlight=False, emoji=False)


def _marked_lines(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Yield each line with its entities, the outermost of those that lie in one another."""
    for line, marked in lines_of(text, _outermost(spans)):
        yield line, [(start, end, span.type) for start, end, span in marked]


def _entity_row(each: Span) -> str:
    return f"  {each.start}–{each.end}  {visible(each.type)}  {each.confidence:.2f}  {visible(each.text)}"


def _outermost(spans: Iterable[Span]) -> list[Span]:
    """Return the spans, in order, that lie in no other."""
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
