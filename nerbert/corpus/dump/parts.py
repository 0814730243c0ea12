"""Divide a dump into parts of whole pages, which can be read separately.

The cuts depend on the input and one setting, never on workers. Cost: input that can't be cut is decompressed by one
process.
"""

import bz2
import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader, BytesIO
from itertools import pairwise
from typing import IO

from nerbert.errors import InputError, SettingsError
from nerbert.sources.files import BZ2_STREAM, HashingFile, Source, unpacked, writable

_NAME = re.compile(r"-index(\d*)\.txt")
_PACKED = re.compile(r"\.(?:bz2|gz|xz)$")
_LINE = re.compile(rb"([0-9]{1,18}):[0-9]+:.")
_LONGEST_LINE = 1 << 16
_REMEDY = "fetch index and dump of the same date, or leave the index out"


@dataclass(frozen=True, slots=True)
class Index:
    """Of a dump or a part: distinct offsets in order, how many pages are at each, and the first line with it."""

    name: str
    sha256: str
    offsets: "array[int]"
    pages: "array[int]"
    lines: "array[int]"

    def facts(self) -> dict[str, str]:
        """Return the manifest's entry for the index."""
        return {"file": writable(self.name.rpartition("/")[2]), "sha256": self.sha256}

    def cuts(self, step: int, size: int) -> list[int]:
        """Return where parts of about `step` bytes begin, at streams, and the size."""
        if self.offsets[-1] >= size:
            line = self.lines[bisect_left(self.offsets, size)]
            raise InputError(f"{self.name}:{line}: names byte {self.offsets[-1]} of a dump of {size}; {_REMEDY}")
        places = {bisect_left(self.offsets, cut) for cut in range(step, size, step)} - {0, len(self.offsets)}
        return [0, *(self.offsets[place] for place in sorted(places)), size]

    def between(self, start: int, stop: int) -> "Index":
        """Return the index of a part of the dump."""
        here, there = bisect_left(self.offsets, start), bisect_left(self.offsets, stop)
        columns = {name: getattr(self, name)[here:there] for name in ("offsets", "pages", "lines")}
        return replace(self, **columns)

    def check_heads(self, heads: Collection[int]) -> None:
        """Raise InputError unless a stream begins at each offset."""
        for offset in self.offsets:
            if offset not in heads:
                raise self.misplaced(offset)

    def check_pages(self, pages: int) -> None:
        """Raise InputError unless it names so many pages."""
        if pages != sum(self.pages):
            raise InputError(f"{self.name}:{self.lines[0]}: the index names {sum(self.pages)} pages here where the "
                             f"dump has {pages}; {_REMEDY}")  # fmt: skip

    def misplaced(self, offset: int) -> InputError:
        """Return the error for an offset at which no stream begins."""
        line = self.lines[bisect_left(self.offsets, offset)]
        return InputError(f"{self.name}:{line}: no bz2 stream begins at byte {offset} of the dump; {_REMEDY}")


def pair_indexes(sources: Sequence[Source]) -> list[tuple[Source, Source | None]]:
    """Return the dumps among the sources, in order, each with its index; raise InputError for an index alone."""
    indexes = {_NAME.sub(r"\1.xml", _stem(source.name), count=1): source for source in sources if is_index(source)}
    pairs = [(source, indexes.pop(_stem(source.name), None)) for source in sources if not is_index(source)]
    for name, source in indexes.items():
        raise InputError(f"{source}: an index without its dump, {name}.bz2; give that too, or leave the index out")
    return pairs


def is_index(source: Source) -> bool:
    """Return whether a source has Wikimedia's name pattern for indexes."""
    return _NAME.search(source.name) is not None


def read_index(source: Source) -> Index:
    """Read an index in one pass; raise InputError that names the first invalid line."""
    offsets, pages, lines = array("q"), array("q"), array("q")
    with source.faults(), source.open() as file:
        hashed = HashingFile(file)
        stream = unpacked(BufferedReader(hashed, 1 << 18))
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
            match = _LINE.match(line)
            offset = int(match.group(1)) if match else -1
            if not offsets or offset != offsets[-1]:
                if offset <= (offsets[-1] if offsets else -1):
                    what = "offsets go down" if match else "not offset:id:title"
                    raise InputError(f"{source}:{number}: {what}: {line[:60]!r}; {_REMEDY}")
                offsets.append(offset)
                pages.append(0)
                lines.append(number)
            pages[-1] += 1
        if not offsets:
            raise InputError(f"{source}:1: an empty index; {_REMEDY}")
        return Index(str(source), hashed.digest(), offsets, pages, lines)


def _stem(name: str) -> str:
    return _PACKED.sub("", name)


MOST_PARTS = 100_000
LARGEST_PAGE = 1 << 28
_CHUNK, _READ, _PIECE = 1 << 24, 1 << 18, 1 << 16
_UNPACKED = 1 << 21
"""More than a block of bz2: in smaller pieces, with a parser's work between them, unpacking takes twice the time."""
_PAGE_TAG = re.compile(rb"<page(?=[\s/>])")
_LONGEST_MARK = 16
"""No head of a stream, and no `<page` with what follows it, is longer."""


@dataclass(frozen=True, slots=True)
class DumpPart:
    """Whole pages of a dump: bytes of its input for a worker to read, or `data`, unpacked by the main process."""

    source: Source
    root: bytes
    """The dump's root tag."""
    number: int
    start: int
    """Where it begins: a byte of the input; of unpacked data, a line of the XML."""
    length: int
    """Bytes of the input that it covers."""
    last: bool
    packed: bool = False
    index: Index | None = None
    data: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return str(self.source)

    @property
    def place(self) -> str:
        """Its position, for messages."""
        return f"the part from {'byte' if self.data is None else 'line'} {self.start} on"

    @property
    def first_line(self) -> int | None:
        """Number of the line in which it begins, if known."""
        return self.start if self.data is not None else None if self.number else 1

    def key(self) -> list[object]:
        """Return what identifies a part: its place or content, and whether it is last, so closes the root."""
        if self.data is not None:
            return [hashlib.sha256(self.data).hexdigest(), self.last]
        return [self.start, self.length, self.last]

    def open(self) -> HashingFile:
        """Open its bytes, which must be complete; they are hashed while they are read."""
        if self.data is not None:
            return HashingFile(BytesIO(self.data))
        return HashingFile(self.source.open(self.start, self.start + self.length), self.length, self)

    def xml(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield its pages as a whole document, from what `open` returned."""
        if self.number:
            yield self.root
        with self.source.faults():
            yield from self._streams(stream) if self.packed else iter(lambda: stream.read(_PIECE), b"")
        if not self.last:
            yield b"</mediawiki>"

    def _streams(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield what its bz2 streams hold; raise InputError unless one begins at each offset of the index."""
        heads = set[int]()
        for head, piece in unpacked_streams(stream):
            heads.add(self.start + head)
            yield piece
        if self.index is not None:
            self.index.check_heads(heads)


def unpacked_streams(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield what bz2 streams hold, in pieces, each with the place where its stream begins."""
    unpack, head, read = bz2.BZ2Decompressor(), 0, 0
    while data := stream.read(_READ):
        read += len(data)
        while data or not (unpack.needs_input or unpack.eof):
            if unpack.eof:
                unpack, head = bz2.BZ2Decompressor(), read - len(data)
            yield head, unpack.decompress(data, _UNPACKED)
            data = unpack.unused_data if unpack.eof else b""
    if not unpack.eof:
        raise EOFError("the last stream has no end")


def step_of(size: int, *, packed: bool, wanted: int) -> int:
    """Return the bytes between cuts: as wanted, or by the size of the input."""
    least, most = (1 << 20, 1 << 23) if packed else (1 << 22, 1 << 25)
    step = wanted or min(max(size // 64, least), most)
    if size > step * MOST_PARTS:
        raise SettingsError(f"split_bytes = {wanted}: makes more than {MOST_PARTS} parts; choose {size // 10_000}")
    return step


def ranges(
    source: Source, root: bytes, size: int, *, packed: bool, step: int, index: Index | None = None
) -> Iterator[DumpPart]:
    """Yield the parts of a seekable source: cut at the first page or stream at or behind each multiple of `step`."""
    cuts = (
        _borders(source, size, BZ2_STREAM if packed else _PAGE_TAG, step) if index is None else index.cuts(step, size)
    )
    for number, (start, stop) in enumerate(pairwise(cuts)):
        if index is not None and stop < size and find_mark(source, BZ2_STREAM, stop, stop + 1) is None:
            raise index.misplaced(stop)
        part = index and index.between(start, stop)
        yield DumpPart(source, root, number, start, stop - start, stop == size, packed, part)


def _borders(source: Source, size: int, mark: re.Pattern[bytes], step: int) -> Iterator[int]:
    """Yield where parts begin, then the size."""
    last = 0
    yield last
    for cut in range(step, size, step):
        if cut > last:
            last = find_mark(source, mark, cut, size) or size
            yield last
    if last < size:
        yield size


def find_mark(source: Source, mark: re.Pattern[bytes], start: int, stop: int) -> int | None:
    """Return the first offset from `start` on, and before `stop`, where a stream or page begins; None if none does."""
    text, end = b"", start
    with source.faults(), source.open(start, start + _LONGEST_MARK) as stream:
        while end - len(text) < stop and (more := stream.read(_PIECE)):
            text, end = text + more, end + len(more)
            if found := mark.search(text):
                place = end - len(text) + found.start()
                return place if place < stop else None
            text = text[-_LONGEST_MARK:]
    return None


def chunks(
    source: Source, root: bytes, stream: IO[bytes], head: bytes, *, step: int, taken: Callable[[], int]
) -> Iterator[DumpPart]:
    """Yield the parts of an unpacked stream that begins with `head`; `taken` gives the input bytes read so far."""
    if step > LARGEST_PAGE:
        raise SettingsError(f"split_bytes = {step}: {source} is unpacked here in pieces of that size; "
                            f"take at most {LARGEST_PAGE}")  # fmt: skip
    step = step or _CHUNK
    text, number, line, before, looked = bytearray(head), 0, 1, 0, step
    while True:
        found = _PAGE_TAG.search(text, looked)
        looked = max(step, len(text) - _LONGEST_MARK)
        if found is None and (more := stream.read(_READ)):
            text += more
            if len(text) > step + LARGEST_PAGE:
                raise InputError(f"{source}: a page of more than {LARGEST_PAGE} bytes; is it a MediaWiki export?")
            continue
        data = bytes(text[: found.start()]) if found else bytes(text)
        yield DumpPart(source, root, number, line, taken() - before, last=found is None, data=data)
        if found is None:
            return
        del text[: len(data)]
        number, line, before, looked = number + 1, line + data.count(b"\n"), taken(), step
