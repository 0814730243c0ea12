"""bz2 files of many streams, entered at any stream's head.

A head is ten bytes that no packed data holds by chance (once in 2^77 bytes). The price beside `bz2.open` is that bytes
behind the last stream which begin no other are damage here, and pass unseen there.
"""

import bz2
import hashlib
from collections.abc import Generator, Iterator
from typing import IO

from nerbert.errors import InputError
from nerbert.sources.files import BZ2_STREAM

_STREAM_HEAD = 10
_BLOCK, _PIECE = 1 << 18, 1 << 21


class BlockReader:
    """A file's bytes from `start` on; those before `stop` are hashed, and all before `size` must come."""

    def __init__(self, stream: IO[bytes], name: str, start: int, stop: int, size: int) -> None:
        self._stream, self._name, self.at, self.stop, self.size = stream, name, start, stop, size
        self._hash = hashlib.sha256()

    def read(self, length: int = _BLOCK) -> bytes:
        """Return the next bytes; none at the end."""
        data = self._stream.read(length)
        if not data and self.at < self.size:
            raise InputError(f"{self._name}: ends at byte {self.at} of {self.size}: did it change? Run again")
        self._hash.update(data[: max(0, self.stop - self.at)])
        self.at += len(data)
        return data

    def digest(self) -> str:
        """Return the SHA-256 of the bytes from `start` to `stop`: what is left of them is read first."""
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
        """Yield the unpacked bytes, each piece with whether its stream begins before the stop."""
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
        """Return what was read from the first head on; nothing if no stream begins before the stop."""
        data = self._reader.read()
        while True:
            found, place = BZ2_STREAM.search(data), self._reader.at - len(data)
            if found:
                return data[found.start() :] if place + found.start() < self._reader.stop else b""
            more = self._reader.read() if self._reader.at < self._reader.stop + _STREAM_HEAD else b""
            if not more:
                return b""
            data = data[1 - _STREAM_HEAD :] + more
