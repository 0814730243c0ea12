"""Read the item of each page of a wiki from the SQL dump of Wikidata's table `wb_items_per_site`.

One row in ten belongs to the requested wiki. Blocks are searched for its quoted name, which occurs nowhere else in
valid SQL (quotes in titles are escaped). Only the row around it is parsed, so statements and lines may have any length.
The cost: rows of other wikis are not checked, so a broken row is detected only where it would have counted.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from nerbert.corpus.knowledge.wikidata_items import HIGHEST, Items
from nerbert.corpus.wikitext.titles import normalise_title
from nerbert.sources.files import open_plain

_BLOCK = 4 << 20
_BEFORE, _AFTER = 40, 1024
"""Bytes examined around a row's site: two numbers before it, a title after it (310 bytes, and escapes)."""
_NUMBERS = re.compile(rb"\([0-9]{1,20},([1-9][0-9]{0,9})\Z")
_TITLE = re.compile(rb"((?:[^'\\]|\\.|'')*+)'\)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)|''", re.DOTALL)
_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a", b"%": rb"\%",
            b"_": rb"\_"}  # fmt: skip
"""Meaning of a letter after a backslash, by MySQL's manual; any other character means itself."""

BadRow: TypeAlias = Callable[[int, bytes], None]
"""Receives the offset, in unpacked bytes, and the start of a broken row."""


def read_links(path: Path, site: str, items: Items, bad: BadRow) -> None:
    """Store the pages of a site, `enwiki`; titles of all namespaces, as in the other forms of the dump."""
    mark = f",'{site}','".encode()
    for place, before, after in _rows(path, mark):
        numbers, written = _NUMBERS.search(before), _TITLE.match(after)
        item = int(numbers[1]) if numbers else 0
        title = _title(written[1]) if written else ""
        if title and 0 < item <= HIGHEST:
            items.add_title(item, title)
        else:
            bad(place, before[max(0, before.rfind(b"(")) :] + mark + after.partition(b"\n")[0])


def _rows(path: Path, mark: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the offsets of `mark` with the bytes before and after it; each once, wherever blocks end."""
    with open_plain(path) as stream:
        data, start, begin = b"", 0, 0
        while True:
            block = stream.read(_BLOCK)
            data += block
            sure = len(data) - len(mark) - _AFTER if block else len(data)
            while 0 <= (found := data.find(mark, begin)) <= sure:
                begin = found + len(mark)
                yield start + found, data[max(0, found - _BEFORE) : found], data[begin : begin + _AFTER]
            if not block:
                return
            begin = max(begin, sure + 1)
            gone = max(0, begin - _BEFORE - len(mark))
            data, start, begin = data[gone:], start + gone, begin - gone


def _title(written: bytes) -> str:
    """Return the title of a quoted string; "" if it is not valid."""
    plain = _ESCAPED.sub(_unescaped, written)
    try:
        return normalise_title(plain.decode())
    except UnicodeDecodeError:
        return ""


def _unescaped(match: "re.Match[bytes]") -> bytes:
    letter: bytes | None = match[1]
    return b"'" if letter is None else _ESCAPES.get(letter, letter)
