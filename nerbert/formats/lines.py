"""Lines of a file or a pipe as bytes: what is at hand is given at once, and decoded line by line.

A read waits only while there is nothing, so a slow pipe is read line by line and a file in blocks. Only `\\n` ends a
line. The price: a line is held whole, so one longer than `LONGEST_LINE` is refused instead of filling the memory.
"""

from collections.abc import Iterator
from typing import IO, Any

from nerbert.errors import InputError

LONGEST_LINE = 1 << 28
"""Bytes; a text that long is no text that someone wrote."""
ERRORS = ("strict", "replace")
"""What may become of bytes that are no UTF-8: an error, or U+FFFD."""
_BLOCK = 1 << 16
_BOM = b"\xef\xbb\xbf"


def lines_at_hand(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the whole lines that each read brings, without their ends; the last may have none."""
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


def decoded(raw: bytes, number: int, errors: str = "") -> str:
    """Return a line's text; the first line may begin with a byte order mark.

    `errors` is one of ERRORS where the user can choose, and "" where bytes that are no UTF-8 are always refused.
    """
    if number == 1:
        raw = raw.removeprefix(_BOM)
    try:
        return raw.decode("utf-8", errors or "strict")
    except UnicodeDecodeError as error:
        other = " (or pass --errors replace)" if errors else ""
        raise InputError(f"not UTF-8 at byte {error.start} of the line; convert the text to UTF-8{other}") from None
