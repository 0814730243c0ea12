"""Packed files, told by their first bytes: bz2 (multistream too), gzip, xz; anything else is read as it is."""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import IO, Any, cast

_MAGIC: tuple[tuple[bytes, re.Pattern[bytes], Callable[[IO[bytes]], object]], ...] = (
    (b"BZh", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2File),
    (b"\x1f\x8b", re.compile(rb"\x1f\x8b\x08"), lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"\xfd7zX", re.compile(rb"\xfd7zXZ\x00"), lzma.LZMAFile),
)
"""How each kind begins, its whole head, and what unpacks it."""
_LONGEST_MAGIC = 16

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading raises where packed data is cut off or damaged; bz2 raises OSError too."""


def unpacked(stream: "BufferedReader[Any]", *, or_text: bool = True) -> IO[bytes]:
    """The bytes of `stream`, which stands at its beginning, unpacked where they are packed.

    Where any text may stand (`or_text`) a kind is told by its whole head, since a text could begin with `BZh`; else by
    its beginning, so that a damaged head is told as damage.
    """
    start = stream.peek(_LONGEST_MAGIC)
    for begin, head, unpack in _MAGIC:
        if head.match(start) if or_text else start.startswith(begin):
            return cast("IO[bytes]", unpack(stream))
    return stream
