"""Read the index of a multistream dump: the offsets of its streams, and how many pages each contains.

The lines are `offset:page id:title`. A dump can also be read without an index; the index is a second check: a missing
stream or a missing page is an error. Of the 25 million lines of a large wiki, only the distinct offsets are kept, in
arrays.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader

from nerbert.errors import InputError
from nerbert.sources.files import HashingFile, Source, unpacked, writable

_NAME = re.compile(r"-index(\d*)\.txt")
_PACKED = re.compile(r"\.(?:bz2|gz|xz)$")
_LINE = re.compile(rb"([0-9]{1,18}):[0-9]+:.")
_LONGEST_LINE = 1 << 16
_REMEDY = "fetch index and dump of the same date, or leave the index out"


@dataclass(frozen=True, slots=True)
class Index:
    """Distinct offsets in order, the number of pages at each, and the number of the first line with it.

    They describe a whole dump, or one part of it.
    """

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
        """Return what it says of a part of the dump."""
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
