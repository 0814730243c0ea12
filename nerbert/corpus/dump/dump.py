"""Open a MediaWiki dump, then divide it into parts that can be read separately.

XML is not trusted, and a truncated dump is an error. Limitation: the last pages of a damaged dump are refused too.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import IO, Any

from lxml import etree

from nerbert.corpus.dump.parts import (
    DumpPart,
    chunks,
    fault_of,
    find_mark,
    number_in,
    ranges,
    read_pages,
    step_of,
    unpack_bz2,
)
from nerbert.corpus.dump.sites import Site, is_known_language, language_code, make_site, wiki_code, wiki_codes
from nerbert.errors import InputError
from nerbert.records import RawPage
from nerbert.sources.files import BOM, BZ2_STREAM, HashingFile, Source, detect_packing, unpack_stream
from nerbert.terminal import tell

_BLOCK = 1 << 16
_LARGEST_HEAD = 1 << 24
_PROBE = 1 << 24
_END = 1 << 20
_PROLOG = re.compile(rb"\s*(?:<\?(?:(?!\?>).)*\?>\s*|<!--(?:(?!-->).)*-->\s*)*", re.DOTALL)
_ENCODING = re.compile(rb"<\?xml[^>]*\bencoding\s*=\s*[\"']([^\"'>]*)")
_ROOT_NAME = re.compile(rb"<([A-Za-z_][\w.:-]*+)")
_ROOT = re.compile(rb"<mediawiki(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_FIRST = re.compile(rb"<(?:page[\s/>]|/mediawiki[\s>])")
_FOREIGN = (
    ("a 7-Zip archive", re.compile(rb"7z\xbc\xaf")),
    ("compressed by zstd", re.compile(rb"\x28\xb5\x2f\xfd")),
    ("a zip archive", re.compile(rb"PK\x03\x04")),
    ("JSON", re.compile(rb"\s*[\[{]")),
    ("a table in SQL", re.compile(rb"\s*(?:--|/\*|(?:DROP|CREATE|INSERT)\s)")),
)
"""Other forms of dumps, by their first bytes; archives that contain a whole dump come first."""
_END_TAG = re.compile(rb"</mediawiki\s*>")


class Dump:
    """An open pages-articles dump, with its site and its readable parts. `close` it if the parts aren't read."""

    def __init__(self, location: Path | str | Source, *, wiki: str = "", language: str = "") -> None:
        """Read up to the first page, and check the end, so that faults there appear before the work."""
        self.source = location if isinstance(location, Source) else Source(str(location))
        self._digests = list[str]()
        self._step = 0
        with self.source.faults():
            self.size = self.source.size
            """Size of the input in bytes; None for a pipe until all bytes have arrived."""
            self.identity = _identity(self.source)
            """Facts that identify the input's content, as far as known without reading all of it."""
            self._raw = HashingFile(self.source.open())
        try:
            with self.source.faults():
                self._open(wiki, language)
        except BaseException:
            # The caller gets no object that it could close
            self.close()
            raise

    def _open(self, wiki: str, language: str) -> None:
        raw = BufferedReader(self._raw, 1 << 18)
        packing = detect_packing(raw.peek(16))
        self._packed = packing == "bz2"
        self._stream = unpack_stream(raw, or_text=False)
        self._root, self._head, tree = _read_head(self._stream, str(self.source))
        self.database = tree.findtext("{*}siteinfo/{*}dbname") or ""
        """The name of the wiki's database in the dump, even if the caller gives another; "" for none."""
        # Also test wikis, such as `testwikidatawiki`
        if self.database.endswith("wikidatawiki"):
            fault = "is a dump of Wikidata, whose pages are items (wikibase-item), not wikitext"
            raise InputError(f"{self.source}: {fault}; give a pages-articles dump of a Wikipedia")
        self.site = _read_site(tree, str(self.source), self.database, wiki, language)
        # A bz2 file that is one stream, or pbzip2's, has no place at which a worker could begin
        self.splits = self.source.seeks and (not packing or (self._packed and self._has_streams()))
        """True if workers can read parts independently."""
        if self.splits:
            # Workers open the source themselves; they read no end tag until the last part, so check it now
            self.close()
            if not _END_TAG.search(self._end[1]):
                raise InputError(f"{self.source}: not a complete MediaWiki export: it has no end; fetch it again")

    @property
    def resumes(self) -> bool:
        """True if `identity` changes with the content; False for an address if the server gives no version."""
        return not self.source.remote or len(self.identity) > len(("address", "size"))

    def parts(self, split_bytes: int = 0) -> Iterator[DumpPart]:
        """Yield the parts, in order; if the dump `splits`, they have positions but no data."""
        if self.splits and self.size is not None:
            self._step = step_of(self.size, packed=self._packed, split_bytes=split_bytes)
            yield from ranges(self.source, self._root, self.size, packed=self._packed, step=self._step)
            return
        with self.source.faults():
            yield from chunks(
                self.source, self._root, self._stream, self._head, step=split_bytes, taken=lambda: self._raw.size
            )
            self._digests = [self._raw.digest()]
            self.size = self._raw.size
        self.close()

    def pages(self) -> Iterator[RawPage]:
        """Yield every page in the order of the dump, read in this process; raise InputError with file and position."""
        digests = []
        # A dump that can be cut is one part here, since a single process reads it all
        for part in self.parts(self.size or _END if self.splits else _END):
            with part.open() as stream:
                yield from read_pages(part, stream, self.site.wikitext.redirects)
                digests.append(stream.digest())
        self.finish(digests)

    def finish(self, digests: Sequence[str]) -> None:
        """Keep the SHA-256 of each part for `facts`; raise InputError if the input changed since it was opened."""
        # Workers read at different times; a dump read in one go is hashed as a whole instead
        if self.splits:
            self._digests = list(digests)
            if _identity(self.source) != self.identity:
                raise InputError(f"{self.source}: changed while it was read; run again with --overwrite")

    def facts(self) -> dict[str, Any]:
        """Return the manifest's entry for this input."""
        digests = self._digests
        joined = hashlib.sha256("".join(digests).encode()).hexdigest()
        parts = {"sha256_of_parts": joined, "parts": len(digests), "part_bytes": self._step}
        digest = {"sha256": digests[0]} if len(digests) == 1 else parts
        return {"file": self.source.name, "bytes": self.size, **digest, "wiki": self.site.wiki}

    def close(self) -> None:
        """Close the input, if it is open."""
        self._raw.close()

    def _has_streams(self) -> bool:
        """Return whether the second and the last bz2 stream begin between pages; pbzip2's don't."""
        second = find_mark(self.source, BZ2_STREAM, 1, _PROBE)
        if second is None:
            return False
        with self.source.open(second, second + 1) as stream:
            begin = next(filter(None, unpack_bz2(stream)), b"")
        # Wikimedia's multistream dumps cut streams between pages, pbzip2 cuts anywhere
        return bool(_FIRST.match(begin.lstrip()) and _FIRST.match(self._end[0].lstrip()))

    @cached_property
    def _end(self) -> tuple[bytes, bytes]:
        """Return the beginning and the end of the last stream, or of the last bytes of plain XML."""
        size = self.size or 0
        with self.source.open(max(0, size - _END), size) as stream:
            data = b"".join(iter(lambda: stream.read(_BLOCK), b""))
        if not self._packed:
            return data, data
        begin = b""
        end = b""
        starts = [match.start() for match in BZ2_STREAM.finditer(data)]
        if not starts:
            # The last stream is longer than the bytes that were read
            return begin, end
        for piece in unpack_bz2(BytesIO(data[starts[-1] :])):
            begin = begin or piece
            end = end[-_BLOCK:] + piece
        return begin, end


def _identity(source: Source) -> dict[str, Any]:
    """Return facts that identify the input's content, without reading all of it; for a file, also its time."""
    # A pipe or an address has no local file whose time could be read
    local = not source.remote and source.size is not None
    return source.identity() | ({"changed": Path(source.place).stat().st_mtime_ns} if local else {})


def _read_head(stream: IO[bytes], name: str) -> "tuple[bytes, bytes, etree._Element]":
    """Read up to the first page or the end; return the root tag, the bytes read, and their tree."""
    head = stream.read(_BLOCK)
    root = _check_beginning(head, name)
    while not (page := _FIRST.search(head, root)) and len(head) < _LARGEST_HEAD and (block := stream.read(_BLOCK)):
        head += block
    tag = _ROOT.match(head, root)
    try:
        document = head[: page.start()] + b"</mediawiki>" if page else head
        tree = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise InputError(f"{name}:{error.lineno}: {fault_of(error)}") from error
    # On one line, so that line numbers of errors in a part count from its first page
    return b" ".join(tag.group().split()) if tag else b"", head, tree


def _check_beginning(head: bytes, name: str) -> int:
    """Return the offset of the root tag; raise InputError for anything but an export, and for a document type."""
    start = len(BOM) if head.startswith(BOM) else 0
    prolog = _PROLOG.match(head, start)
    position = prolog.end() if prolog else 0
    root = _ROOT_NAME.match(head, position)
    begin = head[position : position + 20]
    coding = _ENCODING.match(head, start)
    # Foreign formats first: their bytes would only give the vague message about a cut export
    if form := next((name for name, beginning in _FOREIGN if beginning.match(head, start)), ""):
        remedy = "" if form in ("JSON", "a table in SQL") else "unpack it, or "
        fault = f"is {form}, which isn't read; {remedy}give a pages-articles dump (.xml.bz2)"
    elif root is None and begin[:9].upper() == b"<!DOCTYPE":
        fault = "has a document type, which no MediaWiki export has; give a pages-articles dump"
    elif root is None:
        fault = f"not a complete MediaWiki export: it begins with {begin!r}; is it cut off, or no XML? Fetch it again"
    elif root.group(1) != b"mediawiki":
        fault = f"not a MediaWiki export: its root is <{root.group(1).decode()}>; give a pages-articles dump"
    elif coding and coding.group(1).lower() not in (b"utf-8", b"utf8"):
        encoding = coding.group(1).decode("utf-8", "replace")
        fault = f"says that it is in {encoding!r}, exports are in UTF-8; give a pages-articles dump"
    else:
        return position
    raise InputError(f"{name}:1: {fault}")


def _read_site(root: "etree._Element", name: str, database: str, wiki: str, language: str) -> Site:
    """Return the site from the root and `<siteinfo>`; the caller's language wins, with the dump's namespaces added."""
    namespaces = dict[str, int]()
    for entry in root.iterfind("{*}siteinfo/{*}namespaces/{*}namespace"):
        key = number_in(entry.get("key"), lowest=-2, highest=2**31 - 1)
        if key is None:
            fault = f"namespace {entry.text!r} has key {entry.get('key')!r}, not a number; fetch the dump again"
            raise InputError(f"{name}:{entry.sourceline}: {fault}")
        namespaces[entry.text or ""] = key
    declared = (root.get("{http://www.w3.org/XML/1998/namespace}lang") or "").lower()
    # The database's name may differ from the language: `nowiki` is in `nb`
    codes = wiki_codes(database, declared or language.lower())
    chosen = language.lower()
    same = chosen in (declared, *codes) or _base(chosen) in map(_base, codes)  # or more exact: `de-ch` for `de`
    if language and not same:
        shown = f"{declared or database!r:.80}"
        tell(f"{name}: its language is {shown}, but it is read as {language!r}, by the setting language")
        # The name of another language's wiki would mark its sentences as that wiki's
        database = ""
    site = make_site(wiki or database, language or declared, namespaces)
    if not is_known_language(code := language_code(language or declared or site.language)):
        tell(
            f"{name}: language {code!r:.80} is of no known Wikipedia; words and sentences are read as in "
            "English; set language to a closer one's code if there is one"
        )
    return site


def _base(language: str) -> str:
    return wiki_code(language.lower()).partition("-")[0]
