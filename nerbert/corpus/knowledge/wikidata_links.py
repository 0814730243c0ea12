"""Reads which item each page of a wiki is about, from the SQL dump of Wikidata's table `wb_items_per_site`.

The choice: one row of ten names the wiki that is wanted, so blocks are searched for its name between quotes, which
stands nowhere else in good SQL (quotes in titles are escaped), and only the row around it is parsed; statements and
lines may be of any length. The price: rows of other wikis are not checked, so that a broken one shows only where it
would have counted.
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
"""Bytes that are looked at around a row's site: two numbers before it, after it a title (310 bytes, and escapes)."""
_NUMBERS = re.compile(rb"\([0-9]{1,20},([1-9][0-9]{0,9})\Z")
_TITLE = re.compile(rb"((?:[^'\\]|\\.|'')*+)'\)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)|''", re.DOTALL)
_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a", b"%": rb"\%",
            b"_": rb"\_"}  # fmt: skip
"""What a letter behind a backslash stands for, by MySQL's manual; any other character stands for itself."""

BadRow: TypeAlias = Callable[[int, bytes], None]
"""Is told the place, in unpacked bytes, and the beginning of a row that is broken."""


def read_links(path: Path, site: str, items: Items, bad: BadRow) -> None:
    """Note the pages of a site, `enwiki`; titles of all namespaces, as in the other forms of the dump."""
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
    """Yield where `mark` stands, and what stands before and after it; each place once, wherever blocks end."""
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
    """The title that stands between quotes; "" if it is none."""
    plain = _ESCAPED.sub(_unescaped, written)
    try:
        return normalise_title(plain.decode())
    except UnicodeDecodeError:
        return ""


def _unescaped(match: "re.Match[bytes]") -> bytes:
    letter: bytes | None = match[1]
    return b"'" if letter is None else _ESCAPES.get(letter, letter)
