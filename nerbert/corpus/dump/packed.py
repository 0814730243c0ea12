"""Packed files, told by their first bytes: bz2 (multistream too), gzip, xz; anything else is read as it is.

A bz2 file of many streams can be entered at any stream's head, ten bytes that no packed data holds by chance (once in
2^77 bytes). `BlockReader` and `Streams` read so; the price beside `bz2.open` is that bytes behind the last stream which
begin no other are damage here, and pass unseen there.
"""

import bz2
import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from io import BufferedReader
from typing import IO, Any, cast

from nerbert.errors import InputError

STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""How a bz2 stream begins: its head and that of its first block, or of its end if it is empty."""
_MAGIC: tuple[tuple[str, bytes, re.Pattern[bytes], Callable[[IO[bytes]], object]], ...] = (
    ("bz2", b"BZh", STREAM, bz2.BZ2File),
    ("gzip", b"\x1f\x8b", re.compile(rb"\x1f\x8b\x08"), lambda raw: gzip.GzipFile(fileobj=raw)),
    ("xz", b"\xfd7zX", re.compile(rb"\xfd7zXZ\x00"), lzma.LZMAFile),
)
"""How each kind begins, its whole head, and what unpacks it."""
_LONGEST_MAGIC = 16
_STREAM_HEAD = 10
_BLOCK, _PIECE = 1 << 18, 1 << 21

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading raises where packed data is cut off or damaged; bz2 raises OSError too."""


def packing(start: bytes) -> str:
    """How a file that begins with `start` is packed: "bz2", "gzip", "xz", or "" for not at all."""
    return next((name for name, begin, _, _ in _MAGIC if start.startswith(begin)), "")


def unpacked(stream: "BufferedReader[Any]", *, or_text: bool = True) -> IO[bytes]:
    """The bytes of `stream`, which stands at its beginning, unpacked where they are packed.

    Where any text may stand (`or_text`) a kind is told by its whole head, since a text could begin with `BZh`; else by
    its beginning, so that a damaged head is told as damage.
    """
    start = stream.peek(_LONGEST_MAGIC)
    for _, begin, head, unpack in _MAGIC:
        if head.match(start) if or_text else start.startswith(begin):
            return cast("IO[bytes]", unpack(stream))
    return stream


class BlockReader:
    """A file's bytes from `start` on; those before `stop` are hashed, and all before `size` must come."""

    def __init__(self, stream: IO[bytes], name: str, start: int, stop: int, size: int) -> None:
        self._stream, self._name, self.at, self.stop, self.size = stream, name, start, stop, size
        self._hash = hashlib.sha256()

    def read(self, length: int = _BLOCK) -> bytes:
        """The next bytes; none at the end."""
        data = self._stream.read(length)
        if not data and self.at < self.size:
            raise InputError(f"{self._name}: ends at byte {self.at} of {self.size}: did it change? Run again")
        self._hash.update(data[: max(0, self.stop - self.at)])
        self.at += len(data)
        return data

    def digest(self) -> str:
        """SHA-256 of the bytes from `start` to `stop`: what is left of them is read first."""
        while self.at < self.stop:
            self.read()
        return self._hash.hexdigest()


class Streams:
    """The bz2 streams that begin between a reader's start and stop, and after them those that follow.

    `heads` are the places where the streams between begin; `end` is where the last of them ends.
    """

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self.heads: list[int] = []
        self.end: int | None = None

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """The unpacked bytes, each piece with whether its stream begins before the stop."""
        rest, own = self._find_first(), True
        while rest:
            begin = self._reader.at - len(rest)
            if begin < self._reader.stop:
                self.heads.append(begin)
            elif own:
                own = False
                yield b"", False
            rest = yield from self._unpack(rest, own=own)
            self.end = self._reader.at - len(rest) if own else self.end
            rest = rest or self._reader.read()

    def _unpack(self, data: bytes, *, own: bool) -> Generator[tuple[bytes, bool], None, bytes]:
        """Unpack one stream that begins with `data`; return what was read behind its end."""
        unpack = bz2.BZ2Decompressor()
        while not unpack.eof:
            if not data and unpack.needs_input:
                data = self._reader.read()
                if not data:
                    raise EOFError("the last stream has no end")
            piece = unpack.decompress(data, _PIECE)
            data = b""
            if piece:
                yield piece, own
        return unpack.unused_data

    def _find_first(self) -> bytes:
        """What was read from the first head on; nothing if no stream begins before the stop."""
        data = self._reader.read()
        while True:
            found, place = STREAM.search(data), self._reader.at - len(data)
            if found:
                return data[found.start() :] if place + found.start() < self._reader.stop else b""
            more = self._reader.read() if self._reader.at < self._reader.stop + _STREAM_HEAD else b""
            if not more:
                return b""
            data = data[1 - _STREAM_HEAD :] + more
