"""Inspect a MediaWiki dump, then divide it into parts that can be read separately.

The first bytes identify plain XML, bz2 (multistream too), gzip and xz. The XML is not trusted: before a parser sees a
byte, the file must begin as an export does, so there is no document type and no entity to expand; no address is
followed. A truncated dump is an error that names the place, because half a corpus under a full name helps nobody. The
cost: the last pages of a damaged dump are refused too.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from lxml import etree

from nerbert.corpus.dump.index import Index
from nerbert.corpus.dump.parse import DumpPart, PageCutter, fault_of, kept_xml, number_in, read_pages
from nerbert.corpus.dump.sites import Site, make_site, wiki_code
from nerbert.corpus.dump.splits import Chunk, Range, Seen, check_parts, chunks, ranges, step_of
from nerbert.errors import InputError
from nerbert.records import RawPage
from nerbert.sources.files import BZ2_STREAM, HashingFile, Source, packing, unpacked

_BLOCK, _LARGEST_HEAD, _PROBE, _END = 1 << 16, 1 << 24, 1 << 24, 1 << 20
_PROLOG = re.compile(rb"\s*(?:<\?(?:(?!\?>).)*\?>\s*|<!--(?:(?!-->).)*-->\s*)*", re.DOTALL)
_ENCODING = re.compile(rb"<\?xml[^>]*\bencoding\s*=\s*[\"']([^\"'>]*)")
_ROOT_NAME = re.compile(rb"<([A-Za-z_][\w.:-]*+)")
_ROOT = re.compile(rb"<mediawiki(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_FIRST = re.compile(rb"<(?:page[\s/>]|/mediawiki[\s>])")
_BOM = b"\xef\xbb\xbf"


class Dump:
    """A pages-articles dump. `look` inspects it; `parts` are read anywhere, and then `check`ed together."""

    def __init__(
        self, place: Path | str | Source, *, wiki: str = "", language: str = "", index: Index | None = None
    ) -> None:
        self.source = place if isinstance(place, Source) else Source(str(place))
        self.index, self._wiki, self._language = index, wiki, language
        self.site: Site = make_site(wiki, language, {})
        self.size: int | None = None
        """Bytes of the input; None for a pipe until all bytes have arrived."""
        self.splits = False
        """Whether workers can read parts of it independently."""
        self._packed, self._step = False, 0
        self.digest = ""
        """SHA-256 of the input once all parts are checked; empty if no process reads it as a whole."""
        self._root, self._head = b"", b""
        self._raw: HashingFile | None = None
        self._stream: IO[bytes] | None = None
        self._seen: Sequence[Seen] = ()
        self._identity: dict[str, Any] = {}
        self._stamp: object = None

    def look(self) -> Site:
        """Read up to the first page, and return the site, so that errors at the beginning appear before the work.

        A dump that does not split stays open, and `parts` continues reading it.
        """
        try:
            with self.source.faults():
                self._open()
            if self.splits:
                self.close()
                self._check_end()
        except BaseException:
            self.close()
            raise
        if self.index is not None and not (self.splits and self._packed):
            raise InputError(f"{self.source}: is no bz2 of many streams, so {self.index.name} can't be its index")
        return self.site

    def parts(self, split_bytes: int = 0) -> Iterator[DumpPart]:
        """Yield the parts, in order; those of a dump that splits are only named."""
        if not self._root or not (self.splits or self._stream):
            self.look()
        found: Iterator[Range | Chunk] = self._chunks(split_bytes)
        if self.splits and self.size is not None:
            self._step = step_of(self.size, packed=self._packed, wanted=split_bytes)
            found = ranges(self.source, self.size, packed=self._packed, step=self._step, index=self.index)
        for number, data in enumerate(found):
            yield DumpPart(data, number, self._root)

    def pages(self) -> Iterator[RawPage]:
        """Yield every page in the order of the dump, read in this process; raise InputError with file and place."""
        seen: list[Seen] = []
        for part in self.parts(_END):
            seen.append(Seen())
            yield from read_pages(part, seen[-1])
        self.check(seen)

    def check(self, parts: Sequence[Seen]) -> None:
        """Raise InputError unless these parts form a whole dump, and the input did not change since `look`.

        A local file that was read in parts is read once more, for its digest.
        """
        check_parts(str(self.source), self.size if self.splits else None, parts)
        self._seen = parts
        if self.splits and not self.source.remote:
            with self.source.faults(), HashingFile(self.source.open()) as whole:
                self.digest = whole.digest()
        if self.splits and self.source.stamp() != self._stamp:
            raise InputError(f"{self.source}: changed while it was read; run again with --overwrite")

    @property
    def identity(self) -> dict[str, Any]:
        """What identified the input's content when it was first inspected."""
        self._identity = self._identity or self.source.identity()
        return self._identity

    @property
    def versioned(self) -> bool:
        """Whether its identity changes with its content, because a server names its version."""
        return self.source.remote and len(self.identity) > len(("address", "size"))

    def facts(self) -> dict[str, Any]:
        """Return the manifest's entry for this input."""
        digests = "".join(each.sha256 for each in self._seen)
        parts = {"sha256_of_parts": _sha256(digests), "parts": len(self._seen), "part_bytes": self._step}
        whole = {"sha256": self.digest} if self.digest else parts
        index = {"index": self.index.facts()} if self.index is not None else {}
        return {"file": self.source.name, "bytes": self.size, **whole, "wiki": self.site.wiki, **index}

    def close(self) -> None:
        """Close everything that is open."""
        if self._raw is not None:
            self._raw.close()
        self._raw = self._stream = None

    def _open(self) -> None:
        self._stamp, self._identity = self.source.stamp(), self.source.identity()
        self.size = self.source.size
        self._raw = HashingFile(self.source.open())
        raw = BufferedReader(self._raw, 1 << 18)
        kind = packing(raw.peek(16))
        self._stream = unpacked(raw, or_text=False)
        self._read_head(self._stream)
        self._packed = kind == "bz2"
        self.splits = self.source.seeks and (not kind or (self._packed and self._has_streams()))

    def _chunks(self, split_bytes: int) -> Iterator[Chunk]:
        stream, raw = self._stream, self._raw
        if stream is None or raw is None:
            return
        with self.source.faults():
            yield from chunks(stream, self._head, str(self.source), split_bytes, lambda: raw.size)
            self.digest, self.size = raw.digest(), raw.size
        self.close()

    def _has_streams(self) -> bool:
        """Return whether a second stream begins early enough to make reading streams separately worthwhile."""
        with self.source.open() as stream:
            start = stream.read(1)
            while len(start) < _PROBE and (more := stream.read(_END)):
                looked = max(1, len(start) - 10)
                start += more
                if BZ2_STREAM.search(start, looked):
                    return True
        return False

    def _check_end(self) -> None:
        """Search for the end tag, so that a truncated download is detected before days of work."""
        size, seen = self.size or 0, Seen()
        end = Range(self.source, max(0, size - _END), size, size, self._packed)
        with closing(end.pieces(seen)) as pieces:
            for _ in kept_xml(str(end), pieces, PageCutter(seen, first=False)):
                pass
        if seen.heads and not seen.closed:
            raise InputError(f"{self.source}: not a whole MediaWiki export: it has no end; fetch it again")

    def _read_head(self, stream: IO[bytes]) -> None:
        """Read up to the first page or the end: root tag and site."""
        head = stream.read(_BLOCK)
        root = self._check_beginning(head)
        while not (found := _FIRST.search(head, root)) and len(head) < _LARGEST_HEAD and (more := stream.read(_BLOCK)):
            head += more
        tag = _ROOT.match(head, root)
        self._root, self._head = b" ".join(tag.group().split()) if tag else b"", head
        try:
            whole = head[: found.start()] + b"</mediawiki>" if found else head
            self._read_site(etree.fromstring(whole, etree.XMLParser(resolve_entities=False, no_network=True)))
        except etree.XMLSyntaxError as error:
            raise InputError(f"{self.source}:{error.lineno}: {fault_of(error)}") from error

    def _check_beginning(self, head: bytes) -> int:
        """Return the offset of the root's tag; refuse what is no export, a document type first of all."""
        prolog = _PROLOG.match(head, len(_BOM) if head.startswith(_BOM) else 0)
        place = prolog.end() if prolog else 0
        root, begin = _ROOT_NAME.match(head, place), head[place : place + 20]
        coding = _ENCODING.match(head, len(_BOM) if head.startswith(_BOM) else 0)
        if root is None and begin[:9].upper() == b"<!DOCTYPE":
            what = "has a document type, which no MediaWiki export has; give a pages-articles dump"
        elif root is None:
            what = f"not a whole MediaWiki export: it begins with {begin!r}; is it cut off, or no XML? Fetch it again"
        elif root.group(1) != b"mediawiki":
            what = f"not a MediaWiki export: its root is <{root.group(1).decode()}>; give a pages-articles dump"
        elif coding and coding.group(1).lower() not in (b"utf-8", b"utf8"):
            what = f"says that it is in {coding.group(1).decode()!r}, exports are in UTF-8; give a pages-articles dump"
        else:
            return place
        raise InputError(f"{self.source}:1: {what}")

    def _read_site(self, root: "etree._Element") -> None:
        """Read the site from the root and `<siteinfo>`; the caller's language may only refine the dump's."""
        names = {each.text or "": self._key(each) for each in root.iterfind("{*}siteinfo/{*}namespaces/{*}namespace")}
        wiki = self._wiki or root.findtext("{*}siteinfo/{*}dbname") or ""
        told = (root.get("{http://www.w3.org/XML/1998/namespace}lang") or "").lower()
        if self._language and told and _base(self._language) != _base(told):
            raise InputError(
                f"{self.source}: is in {told!r}, the settings say language = {self._language!r}; leave the setting out "
                "or give a pages-articles dump of that wiki"
            )
        self.site = make_site(wiki, self._language or told, names)

    def _key(self, namespace: "etree._Element") -> int:
        key = number_in(namespace.get("key"), lowest=-2, highest=2**31 - 1)
        if key is None:
            raise InputError(
                f"{self.source}:{namespace.sourceline}: namespace {namespace.text!r} has key {namespace.get('key')!r}, "
                f"not a number; fetch the dump again"
            )
        return key


def _base(language: str) -> str:
    return wiki_code(language.lower()).partition("-")[0]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
