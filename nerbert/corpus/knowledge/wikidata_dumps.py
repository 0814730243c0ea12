"""Read the formats of Wikidata's dumps in one pass each, in any order of lines: N-Triples, JSON, and a table of links.

Only relevant lines are parsed. Blocks of N-Triples are searched for three kinds of triples (`instance of`, `subclass
of`, a page of the wiki). Of JSON, with one entity per line, only lines that name the wiki or `subclass of` are parsed.
The best rank counts, as in the direct triples. The SQL dump of the table `wb_items_per_site`, which links items to
pages, is searched for the wiki's quoted name, which occurs nowhere else in valid SQL (quotes in titles are escaped).
Only the row around it is parsed, so statements and lines may have any length. The cost: other lines and rows are not
checked, so a broken one is detected only where it would have counted.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from nerbert.corpus.dump.sites import wiki_codes
from nerbert.corpus.knowledge.claims import LONGEST_TITLE, decode, is_other_triple, title_of_iri
from nerbert.corpus.wikitext.titles import normalise_title
from nerbert.errors import InputError
from nerbert.schema import parse_json
from nerbert.sources.files import open_plain, read_blocks

HIGHEST = (1 << 32) - 1
"""The highest number of an item."""
LONGEST_LINE = 32 << 20
"""Maximum bytes of a line; the entities with most statements have some millions."""
_ENTITY = rb"<https?://www\.wikidata\.org/entity/(?:Q([1-9][0-9]{0,9})|[A-Z][0-9A-Z-]*)>[ \t]*"
_END = rb"\.[ \t\r]*"
_ID = re.compile(r"Q([1-9][0-9]{0,9})")
_BLOCK = 4 << 20
_BEFORE, _AFTER = 40, 1024
"""Bytes examined around a row's site: two numbers before it, a title after it (310 bytes, and escapes)."""
_NUMBERS = re.compile(rb"\([0-9]{1,20},([1-9][0-9]{0,9})\Z")
_TITLE = re.compile(rb"((?:[^'\\]|\\.|'')*+)'\)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)|''", re.DOTALL)
_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a", b"%": rb"\%",
            b"_": rb"\_"}  # fmt: skip
"""Meaning of a letter after a backslash, by MySQL's manual; any other character means itself."""

Bad: TypeAlias = Callable[[int, bytes], None]
"""Receives the number and the start of a broken line, or the offset, in unpacked bytes, and the start of a row."""


class ItemStore(Protocol):
    """What takes the facts of a dump (`wikidata.Items`)."""

    def add_class(self, item: int, name: int) -> None:
        """Store that `item` is an instance of `name`."""

    def add_parent(self, name: int, parent: int) -> None:
        """Store that the class `name` is a subclass of `parent`."""

    def add_title(self, item: int, title: str) -> None:
        """Store that a page of the wiki is about `item`."""


@dataclass(frozen=True, slots=True)
class _Value:
    id: str


@dataclass(frozen=True, slots=True)
class _Data:
    value: _Value


@dataclass(frozen=True, slots=True)
class _Snak:
    snaktype: str
    datavalue: _Data | None = None

    @property
    def item(self) -> str:
        if self.datavalue is None:
            raise ValueError
        return self.datavalue.value.id


@dataclass(frozen=True, slots=True)
class _Statement:
    rank: str
    mainsnak: _Snak


@dataclass(frozen=True, slots=True)
class _Claims:
    P31: tuple[_Statement, ...] = ()
    P279: tuple[_Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class _Link:
    title: str


@dataclass(frozen=True, slots=True)
class _Entity:
    """What is used of an entity; PHP writes {} as []."""

    id: str
    claims: _Claims | tuple[()] | None = None
    sitelinks: Mapping[str, _Link] | tuple[()] | None = None


@dataclass(frozen=True, slots=True)
class Wiki:
    """The names of a language's Wikipedia in Wikidata's dumps."""

    site: str
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, language: str, name: str = "") -> "Wiki":
        """Return the Wikipedia called `name` (`zh_yuewiki`), or without a name, that of a language: `de`, `zh-yue`.

        The language does not always identify the wiki (`simplewiki` is in `en`).
        """
        codes = wiki_codes(name, language)
        return cls(codes[0].replace("-", "_") + "wiki", tuple(f"{code}.wikipedia.org" for code in codes))


class _Sought(NamedTuple):
    """A kind of triple: a mark of its lines, their pattern, and a function that stores one (False if impossible)."""

    mark: bytes
    pattern: "re.Pattern[bytes]"
    note: "Callable[[re.Match[bytes]], bool]"


def read_triples(path: Path, wiki: Wiki, items: ItemStore, bad: Bad) -> None:
    """Store the statements and links of N-Triples."""
    statements = [("P31", items.add_class), ("P279", items.add_parent)]
    sought = [_statement(name, add) for name, add in statements] + [_link(host, items) for host in wiki.hosts]
    for first, block in read_blocks(path, LONGEST_LINE, lambda number: bad(number, b"a line too long")):
        for kind in sought:
            number, counted = first, 0
            for begin, line in _lines_with(block, kind.mark):
                match = kind.pattern.fullmatch(line)
                if not (kind.note(match) if match else is_other_triple(decode(line) or "")):
                    number, counted = number + block.count(b"\n", counted, begin), begin
                    bad(number, line)


def read_json(path: Path, wiki: Wiki, items: ItemStore, bad: Bad) -> None:
    """Store the statements and links of JSON, one entity per line."""
    marks = (f'"{wiki.site}"'.encode(), b'"P279"')
    for first, block in read_blocks(path, LONGEST_LINE, lambda number: bad(number, b"a line too long")):
        for number, line in enumerate(block.split(b"\n"), first):
            if marks[0] in line or marks[1] in line:
                try:
                    _note_entity(parse_json(line.strip().removesuffix(b","), _Entity, path), wiki.site, items)
                except (ValueError, InputError):
                    bad(number, line)


def read_links(path: Path, site: str, items: ItemStore, bad: Bad) -> None:
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


def _statement(name: str, add: Callable[[int, int], None]) -> _Sought:
    """Return the triples of the property `name` of items; those of properties and lexemes are skipped."""

    def note(match: "re.Match[bytes]") -> bool:
        item, value = int(match[1] or 0), int(match[2] or 0)
        if max(item, value) > HIGHEST:
            return False
        if item and value:
            add(item, value)
        return True

    predicate = rf"<https?://www\.wikidata\.org/prop/direct/{name}>[ \t]*".encode()
    return _Sought(f"/prop/direct/{name}>".encode(), re.compile(_ENTITY + predicate + _ENTITY + _END), note)


def _link(host: str, items: ItemStore) -> _Sought:
    """Return the triples that link a page at `host` to its item."""

    def note(match: "re.Match[bytes]") -> bool:
        item, title = int(match[2] or 0), title_of_iri(decode(match[1]) or "")
        if not _fits(title) or item > HIGHEST:
            return False
        if item:
            items.add_title(item, title)
        return True

    page = rf"<https?://{re.escape(host)}/wiki/([^<>\s]*)>[ \t]*<https?://schema\.org/about>[ \t]*".encode()
    return _Sought(f"://{host}/wiki/".encode(), re.compile(page + _ENTITY + _END), note)


def _lines_with(block: bytes, mark: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that contain `mark`, with their offsets."""
    place = block.find(mark)
    while place >= 0:
        begin, end = block.rfind(b"\n", 0, place) + 1, block.find(b"\n", place)
        end = end if end >= 0 else len(block)
        yield begin, block[begin:end]
        place = block.find(mark, end)


def _note_entity(entity: _Entity, site: str, items: ItemStore) -> None:
    """Store an item's parents, and if it has a page of the wiki, its title and classes."""
    item = _number(entity.id)
    if not item:
        return
    claims = entity.claims or _Claims()
    link = entity.sitelinks.get(site) if entity.sitelinks else None
    title = normalise_title(link.title) if link else ""
    if link and not _fits(title):
        raise ValueError
    classes, parents = _best(claims.P31), _best(claims.P279)
    for value in parents:
        items.add_parent(item, value)
    if link:
        items.add_title(item, title)
        for value in classes:
            items.add_class(item, value)


def _best(statements: Sequence[_Statement]) -> list[int]:
    """Return the items in the statements of the best rank."""
    rank = "preferred" if any(each.rank == "preferred" for each in statements) else "normal"
    snaks = [each.mainsnak for each in statements if each.rank == rank]
    numbers = (_number(snak.item) for snak in snaks if snak.snaktype == "value")
    return [number for number in numbers if number]


def _number(name: str) -> int:
    """Return the number of an item, 0 for a property or a lexeme."""
    match = _ID.fullmatch(name)
    number = int(match[1]) if match else 0
    if number > HIGHEST or (not match and name.startswith("Q")):
        raise ValueError
    return number


def _fits(title: str) -> bool:
    """Return whether a title has an allowed length; raise ValueError for a lone surrogate."""
    return 0 < len(title.encode()) <= LONGEST_TITLE


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
