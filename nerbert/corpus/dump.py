"""MediaWiki dump in, pages out: read once, front to back, in constant memory.

Plain, bz2 (multistream too), gzip and xz are told by their first bytes. The XML comes from outside: before the parser
sees a byte the file must begin as an export does, so there is no document type and no entity to expand; no address is
followed. A dump that is cut off is an error that names the place, since half a corpus under a whole one's name helps
nobody; the price is that the last pages of a damaged dump are refused too.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from lxml import etree

from nerbert.corpus.packed import DAMAGED, unpacked
from nerbert.corpus.sites import Site, make_site
from nerbert.errors import InputError
from nerbert.records import RawPage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_REDIRECT = re.compile(
    r"\s*#(?:redirect|redirection|weiterleitung|rinvia|redirecció|redirección)\s*:?\s*\[\[:?([^\[\]|#\n]+)",
    re.IGNORECASE,
)


_HEAD, _CHUNK = 1 << 16, 1 << 15
_PROLOG = re.compile(rb"\s*(?:<\?(?:(?!\?>).)*\?>\s*|<!--(?:(?!-->).)*-->\s*)*", re.DOTALL)
_ROOT = re.compile(rb"<([A-Za-z_][\w.:-]*+)")
_LARGEST = 2**63 - 1


class HashingFile(RawIOBase):
    """A binary file that is hashed as it is read, so that an input's digest costs no second reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill `buffer`; the number of bytes read."""
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def digest(self) -> str:
        """SHA-256 of the whole file: what is left unread is read first."""
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


class Dump:
    """A pages-articles dump. `site` is known once the first page has come; `digest` and `size` once all have."""

    def __init__(self, path: Path, *, wiki: str = "", language: str = "") -> None:
        self.path, self._wiki, self._language = path, wiki, language
        self.site: Site = make_site(wiki, language, {})
        self.digest, self.size = "", 0

    def pages(self) -> Iterator[RawPage]:
        """Yield every page in the order of the dump; raise InputError that names file and place."""
        with self._faults(), self.path.open("rb") as raw:
            counted = HashingFile(raw)
            yield from self._parse(unpacked(BufferedReader(counted, 1 << 18), or_text=False))
            self.digest, self.size = counted.digest(), counted.size

    def look(self) -> Site:
        """Read as far as the first page, and return the site: what is wrong at the beginning is known before work."""
        with self._faults(), self.path.open("rb") as raw:
            next(self._parse(unpacked(raw, or_text=False)), None)
        return self.site

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What parsers and files raise, as one line."""
        try:
            yield
        except etree.XMLSyntaxError as error:
            raise InputError(f"{self.path}:{error.lineno}: {_fault(error)}") from error
        except DAMAGED as error:
            raise InputError(f"{self.path}: compressed data is cut off or damaged: {error}; fetch it again") from error
        except OSError as error:
            what = error.strerror or str(error)
            raise InputError(f"{self.path}: can't be read: {what}; check the path and fetch it again") from error

    def _parse(self, stream: IO[bytes]) -> Iterator[RawPage]:
        parser = etree.XMLPullParser(
            ("start", "end"),
            tag=("{*}mediawiki", "{*}siteinfo", "{*}page"),
            resolve_entities="internal",  # type: ignore[arg-type]  # the stubs are older than lxml 5
            no_network=True,
            load_dtd=False,
            huge_tree=True,
        )
        head = stream.read(_HEAD)
        self._check_head(head)
        number = 0
        for chunk in chain([head], iter(lambda: stream.read(_CHUNK), b"")):
            parser.feed(chunk)
            for event, element in cast("Iterator[tuple[str, etree._Element]]", parser.read_events()):
                name = _name(element)
                if name == "page" and event == "end":
                    number += 1
                    page = self._page(element, number)
                    _forget(element)
                    yield page
                elif (name == "siteinfo" and event == "end") or (name == "mediawiki" and event == "start"):
                    self._read_site(element)
        parser.close()

    def _check_head(self, head: bytes) -> None:
        """Refuse what doesn't begin as an export, a document type first of all."""
        rest = _PROLOG.sub(b"", head.removeprefix(b"\xef\xbb\xbf"), count=1)
        root = _ROOT.match(rest)
        if root is None and rest[:9].upper() == b"<!DOCTYPE":
            raise InputError(
                f"{self.path}:1: has a document type, which no MediaWiki export has; give a pages-articles dump"
            )
        if root is None:
            raise InputError(
                f"{self.path}:1: not a whole MediaWiki export: it begins with {rest[:20]!r}; is it cut off, "
                "or no XML at all? Fetch it again"
            )
        if root.group(1) != b"mediawiki":
            raise InputError(
                f"{self.path}:1: not a MediaWiki export: its root is <{root.group(1).decode()}>; "
                "give a pages-articles dump"
            )

    def _read_site(self, element: etree._Element) -> None:
        """Take the site from the root, and again from `<siteinfo>` with its names."""
        tree = element.getroottree()
        if cast("object | None", tree.docinfo.internalDTD) is not None:
            raise InputError(f"{self.path}:1: has a document type, which no MediaWiki export has; refused")
        root = tree.getroot()
        names = {each.text or "": self._key(each) for each in element.iterfind("{*}namespaces/{*}namespace")}
        wiki = self._wiki or element.findtext("{*}dbname") or ""
        self.site = make_site(wiki, self._language or _language(root), names)

    def _key(self, namespace: etree._Element) -> int:
        key = _number(namespace.get("key"), lowest=-2, highest=2**31 - 1)
        if key is None:
            raise InputError(
                f"{self.path}:{namespace.sourceline}: namespace {namespace.text!r} has key {namespace.get('key')!r}, "
                f"not a number; fetch the dump again"
            )
        return key

    def _page(self, element: etree._Element, number: int) -> RawPage:
        """A page with its last revision; ids that aren't there are an error, since sentence ids rest on them."""
        revisions = element.findall("{*}revision")
        revision = revisions[-1] if revisions else element
        title = element.findtext("{*}title") or ""
        page_id, revision_id = (_number(each.findtext("{*}id"), lowest=0) for each in (element, revision))
        if page_id is None or revision_id is None or not revisions:
            what = "page id" if page_id is None else "revision id"
            raise InputError(f"{self.path}: page {number}, {title!r}, has no usable {what}; fetch the dump again")
        ns = element.findtext("{*}ns")
        namespace = _number(ns, lowest=-2, highest=2**31 - 1)
        if ns is not None and namespace is None:
            raise InputError(f"{self.path}: page {number}, {title!r}, has namespace {ns!r}; fetch the dump again")
        text = revision.findtext("{*}text") or ""
        model = revision.findtext("{*}model") or "wikitext"
        return RawPage(page_id, revision_id, title, namespace, _redirect(element, text), model, text)


def _fault(error: etree.XMLSyntaxError) -> str:
    message = (error.msg or "").partition(", line ")[0]
    if any(
        word in message
        for word in ("Premature end", "Extra content", "not found", "Couldn't find end", "Document is empty")
    ):
        return f"not a whole MediaWiki export ({message}); is it cut off, or no XML at all? Fetch it again"
    return f"not well-formed XML: {message}; fetch it again"


def _language(root: etree._Element) -> str:
    return root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""


def _name(element: etree._Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _number(text: str | None, *, lowest: int, highest: int = _LARGEST) -> int | None:
    """The number that `text` writes, if it is within bounds; else None."""
    match = re.fullmatch(r"\s*(-?[0-9]{1,19})\s*", text or "")
    number = int(match.group(1)) if match else None
    return number if number is not None and lowest <= number <= highest else None


def _redirect(element: etree._Element, text: str) -> str:
    """Where a page redirects to; "" for none. Old exports say it in the text only."""
    redirect = element.find("{*}redirect")
    named = redirect.get("title") if redirect is not None else None
    match = _REDIRECT.match(text) if not named else None
    return named or (match.group(1).strip() if match else "")


def _forget(element: etree._Element) -> None:
    """Free a page that has been read, and what stood before it."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]  # type: ignore[union-attr]
