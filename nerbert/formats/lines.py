"""Lines of files and streams, and the names of their fields.

Reading waits only if no bytes are available, so a slow pipe is read line by line. Cost: each line is held in memory, so
one longer than `LONGEST_LINE` is rejected.
"""

import codecs
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from nerbert.errors import InputError, at
from nerbert.records import Document
from nerbert.sources.files import BOM

TEXT, TOKENS, SPANS = "text", "tokens", "spans"
"""Names of fields: the text; its words as strings; entities."""
ERRORS = ("strict", "replace")
"""Treatments of bytes that aren't UTF-8: report an error, or replace them by U+FFFD."""
LONGEST_LINE = 1 << 28
"""Maximum length of a line, in bytes."""
LONGEST_FILE = 1 << 30
"""Maximum size of a file that is held in memory, in bytes."""
UTF_16 = "text in UTF-16 (save it as UTF-8, or: iconv -f UTF-16 -t UTF-8)"
"""Description of files in UTF-16, for messages."""
_BLOCK = 1 << 16
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Lone surrogates, which broken JSON may contain and no tokenizer accepts."""
_PARQUET = b"PAR1"


class Line(NamedTuple):
    """A decoded line of a file, without its line break."""

    source: str
    number: int
    text: str

    @property
    def size(self) -> int:
        """Its length in bytes, with the line break."""
        return len(self.text.encode()) + 1

    def error(self, message: str) -> InputError:
        """Return an error with the line's position."""
        return InputError(f"{self.source}:{self.number}: {message}", path=self.source, line=self.number)

    def locate_errors(self) -> AbstractContextManager[None]:
        """Add the line's position to errors raised inside."""
        return at(self.source, self.number)


@dataclass(frozen=True, slots=True)
class Stream:
    """Texts to tag, row by row: the bytes of a file, a pipe or standard input, which `open` provides.

    `field` (or column) has each row's text, `errors` is the treatment of bytes that aren't UTF-8, `path` is a file on
    disk with these bytes, if there is one.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    field: str = TEXT
    errors: str = ERRORS[0]
    path: Path | None = None
    strip: str = "\r"
    """Characters to remove from a line's end."""

    def lines(self) -> Iterator[Line]:
        """Yield the lines."""
        with self.open() as stream:
            yield from read_lines(stream, self.name, self.errors, self.strip)


def file_lines(path: Path, strip: str = "\r") -> Iterator[Line]:
    """Yield the lines of a file in UTF-8."""
    with path.open("rb") as stream:
        yield from read_lines(stream, path, strip=strip)


def read_lines(stream: IO[bytes], source: Path | str, errors: str = "", strip: str = "\r") -> Iterator[Line]:
    """Yield a stream's lines as they arrive, without trailing characters of `strip`; `errors` as in `decode_line`."""
    # `read1` returns what has arrived, so that a slow pipe is read line by line
    read: Any = getattr(stream, "read1", stream.read)
    name = str(source)
    number = 0
    pieces = list[bytes]()
    held = 0
    while block := read(_BLOCK):
        lines, newline, tail = block.rpartition(b"\n")
        if newline:
            for number, raw in enumerate(b"".join([*pieces, lines]).split(b"\n"), number + 1):  # noqa: B020
                yield _line(name, number, raw, errors, strip)
            pieces = []
            held = 0
        if tail:
            pieces.append(tail)
            held += len(tail)
        if held > LONGEST_LINE:
            with at(name, number + 1):
                raise InputError(f"a line of more than {LONGEST_LINE} bytes is no text; split it into lines")
    if pieces:
        yield _line(name, number + 1, b"".join(pieces), errors, strip)


def _line(source: str, number: int, raw: bytes, errors: str, strip: str) -> Line:
    # Most lines; the first one may have a byte order mark, or be no text
    if number > 1 and raw.isascii():
        return Line(source, number, raw.decode().rstrip(strip))
    with at(source, number):
        if number == 1 and raw.startswith(_PARQUET):
            raise InputError("is Parquet, not text; pass --from parquet")
        return Line(source, number, decode_line(raw, number, errors).rstrip(strip))


def decode_line(raw: bytes, number: int, errors: str = "") -> str:
    """Return a line's text; `errors` is one of ERRORS, or "": bytes that aren't UTF-8 are always rejected."""
    if number == 1:
        raw = raw.removeprefix(BOM)
        if is_utf16(raw):
            raise InputError(f"seems to be {UTF_16}")
    try:
        return raw.decode("utf-8", errors or "strict")
    except UnicodeDecodeError as error:
        other = " (or pass --errors replace)" if errors else ""
        raise InputError(f"not UTF-8 at byte {error.start} of the line; convert the text to UTF-8{other}") from None


def without_surrogates(text: str) -> str:
    """Return a text with each lone surrogate replaced by U+FFFD; offsets stay valid."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def read_text(stream: IO[bytes], source: Path | str, errors: str = "") -> str:
    """Return the text of a stream unchanged; raise InputError if it is too long. `errors` is as in `decode_line`."""
    raw = stream.read(LONGEST_FILE + 1)
    if len(raw) > LONGEST_FILE:
        raise InputError(f"{source}: more than {LONGEST_FILE} bytes; split it, or write JSON as one object per line")
    if is_utf16(raw):
        raise InputError(f"{source}: seems to be {UTF_16}")
    try:
        return raw.decode("utf-8", errors or "strict")
    except UnicodeDecodeError as error:
        with at(source, raw.count(b"\n", 0, error.start) + 1):
            raise InputError("not UTF-8; convert the text to UTF-8") from None


def is_utf16(start: bytes) -> bool:
    """Return whether text that begins with `start` is in UTF-16: by its mark, or since every other byte is zero."""
    # The mark of UTF-32 begins with that of UTF-16
    if start.startswith(codecs.BOM_UTF32_LE) or len(start) < 2:
        return False
    even = start[:1000:2]
    odd = start[1:1000:2]
    # In UTF-16, every other byte of Latin text is zero
    few, most = sorted(half.count(0) / len(half) for half in (even, odd))
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (few < 0.1 and most > 0.7)


def checked_words(value: object, field: str) -> list[str]:
    """Return `value` if it is a list of words; raise InputError that names the invalid one."""
    if not isinstance(value, list):
        raise InputError(f"field {field!r} holds {value!r:.60}: must be a text, or a list of words")
    for index, word in enumerate(value):
        if not isinstance(word, str) or not word:
            raise InputError(f"field {field!r}: word {index} (from 0) is {word!r:.60}: must be a nonempty text")
    return value


@contextmanager
def spool(documents: Iterable[Document]) -> Iterator[Callable[[], Iterator[Document]]]:
    """Yield a function that yields all documents at each call; a file stores them, since they may exceed the memory."""
    with TemporaryFile() as file:
        count = 0
        for count, document in enumerate(documents, 1):  # noqa: B007  (the last count is needed)
            try:
                pickle.dump(document, file)
            except RecursionError:
                raise InputError("its fields are nested too deep to be written; remove them") from None

        def again() -> Iterator[Document]:
            file.seek(0)
            for _ in range(count):
                yield pickle.load(file)  # noqa: S301  (written above)

        yield again
