"""Divide a dump into parts that can be read separately.

The cuts depend on the input and one setting, never on workers. An input with random access (plain XML, multistream bz2)
becomes `Range`s that workers open themselves. The main process unpacks any other input into `Chunk`s of whole pages,
which is slower, because one process unpacks for all.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from re import compile as pattern
from typing import IO

from nerbert.corpus.dump.index import Index
from nerbert.corpus.dump.streams import BlockReader, Streams
from nerbert.errors import InputError, SettingsError
from nerbert.sources.files import Source

MOST_PARTS = 100_000
LARGEST_PAGE = 1 << 28
_CHUNK, _READ, _PIECE = 1 << 24, 1 << 18, 1 << 16
_PAGE_TAG = pattern(rb"<page(?=[\s/>])")
_TAG_LENGTH = 6

Pieces = Generator[tuple[bytes, bool], None, None]
"""XML bytes in order, each with whether it belongs to the part; what does not belong to it comes last."""


@dataclass(slots=True)
class Seen:
    """What was read of a part; it is whole once the part has been read to its end."""

    pages: int = 0
    closed: bool = False
    """Whether the dump's end tag belongs to the part."""
    heads: list[int] = field(default_factory=list)
    """Offsets of its own bz2 streams; for plain XML, its start."""
    end: int | None = None
    """Offset of the end of the last of them."""
    sha256: str = ""
    """Digest of its bytes of the input."""
    whole: bool = False
    """Whether all pages that begin in it were read; otherwise its bytes have no digest."""


@dataclass(frozen=True, slots=True)
class Range:
    """A part for a worker to read: the bytes from `start` to `stop`; of a bz2 file, the streams that begin there."""

    source: Source
    start: int
    stop: int
    size: int
    packed: bool
    index: Index | None = None

    def __str__(self) -> str:
        return str(self.source)

    @property
    def first_line(self) -> int | None:
        """Number of the line in which it begins, if known."""
        return None if self.start else 1

    @property
    def place(self) -> str:
        """Its position, for messages."""
        return f"the part from byte {self.start} on"

    @property
    def length(self) -> int:
        """Bytes of the input that it covers."""
        return self.stop - self.start

    def key(self) -> list[object]:
        """Return what distinguishes it from other parts of the same input."""
        return [self.start, self.stop]

    def pieces(self, seen: Seen) -> Pieces:
        """Yield the part's XML, and what follows it as far as the caller reads."""
        with self._reading() as reader:
            streams = Streams(reader)
            try:
                yield from streams.pieces() if self.packed else _plain(reader)
                seen.whole = True
            finally:
                seen.heads, seen.end = (streams.heads, streams.end) if self.packed else ([self.start], self.stop)
                if seen.whole:
                    seen.sha256 = reader.digest()

    def digest(self) -> str:
        """Return the SHA-256 of its current bytes."""
        with self._reading() as reader:
            return reader.digest()

    @contextmanager
    def _reading(self) -> Iterator[BlockReader]:
        with self.source.faults(), self.source.open(self.start, self.stop) as stream:
            yield BlockReader(stream, str(self.source), self.start, self.stop, self.size)


def _plain(reader: BlockReader) -> Pieces:
    while reader.at < reader.stop:
        yield reader.read(min(_PIECE, reader.stop - reader.at)), True
    yield b"", False
    while data := reader.read(_PIECE):
        yield data, False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part that the main process has unpacked: whole pages, the head before the first, the end after the last."""

    name: str
    data: bytes = field(repr=False)
    first_line: int
    length: int
    last: bool

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """Its position, for messages."""
        return f"the part from line {self.first_line} on"

    @property
    def index(self) -> None:
        """None, because no index describes it."""

    def key(self) -> list[object]:
        """Return what distinguishes it from other parts: its content."""
        return [self.digest(), self.last]

    def digest(self) -> str:
        """Return the SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def pieces(self, seen: Seen) -> Pieces:
        """Yield the part's XML; `<page>` represents what follows."""
        seen.sha256 = self.digest()
        for place in range(0, len(self.data), _PIECE):
            yield self.data[place : place + _PIECE], True
        if not self.last:
            yield b"<page>", False


def step_of(size: int, *, packed: bool, wanted: int) -> int:
    """Return the bytes between cuts: as wanted, or by the size of the input."""
    least, most = (1 << 20, 1 << 23) if packed else (1 << 22, 1 << 25)
    step = wanted or min(max(size // 64, least), most)
    if size > step * MOST_PARTS:
        raise SettingsError(f"split_bytes = {wanted}: makes more than {MOST_PARTS} parts; take {size // 10_000}")
    return step


def ranges(source: Source, size: int, *, packed: bool, step: int, index: Index | None = None) -> Iterator[Range]:
    """Yield the parts of a seekable source: cut every `step` bytes, or at streams of an index."""
    cuts = index.cuts(step, size) if index is not None else [(start, None) for start in range(0, size, step)]
    for (start, part), stop in zip(cuts, [*(start for start, _ in cuts[1:]), size], strict=True):
        yield Range(source, start, stop, size, packed, part)


def chunks(stream: IO[bytes], head: bytes, name: str, step: int, taken: Callable[[], int]) -> Iterator[Chunk]:
    """Yield the parts of an unpacked stream that begins with `head`; `taken` gives the input bytes read so far."""
    if step > LARGEST_PAGE:
        raise SettingsError(f"split_bytes = {step}: {name} is unpacked here in pieces of that size; "
                            f"take at most {LARGEST_PAGE}")  # fmt: skip
    step = step or _CHUNK
    text, line, before, looked = bytearray(head), 1, 0, step
    while True:
        found = _PAGE_TAG.search(text, looked)
        looked = max(step, len(text) - _TAG_LENGTH)
        if found is None and (more := stream.read(_READ)):
            text += more
            if len(text) > step + LARGEST_PAGE:
                raise InputError(f"{name}: a page of more than {LARGEST_PAGE} bytes; is it a MediaWiki export?")
            continue
        data = bytes(text[: found.start()]) if found else bytes(text)
        yield Chunk(name, data, line, taken() - before, last=found is None)
        if found is None:
            return
        del text[: len(data)]
        line, before, looked = line + data.count(b"\n"), taken(), step


def check_parts(name: str, size: int | None, parts: Iterable[Seen]) -> None:
    """Raise InputError unless parts meet without a gap, and the last one with pages has the dump's end."""
    place, closed = 0, False
    for part in parts:
        if part.heads and part.heads[0] != place:
            raise InputError(f"{name}: bytes {place} to {part.heads[0]} belong to no part; fetch it again")
        place = place if part.end is None else part.end
        if closed and (part.pages or part.closed):
            raise InputError(f"{name}: pages after the end tag; give a dump a file")
        closed = closed or part.closed
    if not closed or (size is not None and place != size):
        raise InputError(f"{name}: not a whole MediaWiki export: it has no end; is it cut off? Fetch it again")
