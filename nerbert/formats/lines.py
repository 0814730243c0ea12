"""Read lines of a file or a pipe as bytes as soon as they arrive, and decode them line by line.

A read waits only while there is no data, so a slow pipe is read line by line and a file in blocks. Only `\\n` ends a
line. A line is kept in memory, so one longer than `LONGEST_LINE` is refused.
"""

from collections.abc import Iterator
from typing import IO, Any

from nerbert.errors import InputError

LONGEST_LINE = 1 << 28
"""Maximum bytes of a line; nobody writes a text of that length."""
ERRORS = ("strict", "replace")
"""Handling of bytes that are not UTF-8: an error, or U+FFFD."""
_BLOCK = 1 << 16
_BOM = b"\xef\xbb\xbf"


def lines_at_hand(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the whole lines of each read, without line ends; the last line may lack its end."""
    read: Any = getattr(stream, "read1", stream.read)
    rest: list[bytes] = []
    held = 0
    while block := read(_BLOCK):
        lines, newline, tail = block.rpartition(b"\n")
        if newline:
            yield b"".join([*rest, lines]).split(b"\n")
            rest, held = [], 0
        if tail:
            rest.append(tail)
            held += len(tail)
        if held > LONGEST_LINE:
            raise InputError(f"a line of more than {LONGEST_LINE} bytes is no text; break it into lines")
    if rest:
        yield [b"".join(rest)]


def decoded(raw: bytes, number: int, errors: str = "strict") -> str:
    """Decode line `number`; the first may begin with a byte order mark; `errors` is one of ERRORS."""
    if number == 1:
        raw = raw.removeprefix(_BOM)
    try:
        return raw.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 at byte {error.start} of the line; convert the text to UTF-8 (or pass --errors replace)"
        ) from None
