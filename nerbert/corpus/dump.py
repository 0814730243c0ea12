"""MediaWiki dump in, pages out: read once, front to back, in constant memory.

Plain, bz2 (multistream too) and gzip are told by their first bytes. The XML comes from outside: no entity is expanded,
a document type is refused, no address is followed. A dump that is cut off is an error that names the place, since
half a corpus under a whole one's name helps nobody; the price is that the last pages of a damaged dump are refused too.
"""

import bz2
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from lxml import etree

from nerbert.corpus.sites import Site, make_site
from nerbert.errors import InputError
from nerbert.records import RawPage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_REDIRECT = re.compile(
    r"\s*#(?:redirect|redirection|weiterleitung|rinvia|redirecció|redirección)\s*:?\s*\[\[:?([^\[\]|#\n]+)",
    re.IGNORECASE,
)


class HashingFile(io.RawIOBase):
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
        try:
            with self.path.open("rb") as raw:
                counted = HashingFile(raw)
                yield from self._parse(_decompressed(counted))
                self.digest, self.size = counted.digest(), counted.size
        except etree.XMLSyntaxError as error:
            raise InputError(f"{self.path}:{error.lineno}: {_fault(error)}") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{self.path}: compressed data is cut off or damaged: {error}; fetch it again") from error
        except OSError as error:
            what = error.strerror or str(error)
            raise InputError(f"{self.path}: can't be read: {what}; check the path and fetch it again") from error

    def _parse(self, stream: BinaryIO) -> Iterator[RawPage]:
        context = etree.iterparse(
            stream, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
        )
        root: etree._Element | None = None
        for event, element in context:
            if root is None:
                root = element
                self._check_root(root)
            elif event == "end" and _name(element) == "siteinfo":
                self._read_site(root, element)
            elif event == "end" and _name(element) == "page":
                page = _page(element, self.path)
                _forget(element)
                yield page

    def _check_root(self, root: etree._Element) -> None:
        if root.getroottree().docinfo.internalDTD is not None:
            raise InputError(f"{self.path}: has a document type, which no MediaWiki export has; refused")
        if _name(root) != "mediawiki":
            raise InputError(
                f"{self.path}: not a MediaWiki export: its root is <{_name(root)}>; give a pages-articles dump"
            )
        self.site = make_site(self._wiki, self._language or _language(root), {})

    def _read_site(self, root: etree._Element, info: etree._Element) -> None:
        names = {e.text or "": int(e.get("key", "0")) for e in info.iterfind(".//{*}namespace")}
        wiki = self._wiki or info.findtext("{*}dbname") or ""
        self.site = make_site(wiki, self._language or _language(root), names)


def _decompressed(counted: HashingFile) -> BinaryIO:
    buffered = io.BufferedReader(counted, 1 << 18)
    start = buffered.peek(4)[:4]
    if start.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(buffered))
    if start.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.open(buffered))
    return cast("BinaryIO", buffered)


def _fault(error: etree.XMLSyntaxError) -> str:
    message = (error.msg or "").partition(", line ")[0]
    if any(
        word in message
        for word in ("Premature end", "Extra content", "not found", "Couldn't find end", "Document is empty")
    ):
        return f"not a whole MediaWiki export ({message}); is it cut off, or no XML at all? Fetch it again"
    return f"not well-formed XML: {message}"


def _language(root: etree._Element) -> str:
    return root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""


def _name(element: etree._Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _page(element: etree._Element, path: Path) -> RawPage:
    """A page with its last revision; numbers that aren't there are an error, since ids rest on them."""
    revisions = element.findall("{*}revision")
    revision = revisions[-1] if revisions else element
    redirect = element.find("{*}redirect")
    text = revision.findtext("{*}text") or ""
    named = redirect.get("title") if redirect is not None else None
    match = _REDIRECT.match(text) if not named else None
    ns = element.findtext("{*}ns")
    try:
        return RawPage(
            page_id=int(element.findtext("{*}id") or ""),
            revision=int(revision.findtext("{*}id") or ""),
            title=element.findtext("{*}title") or "",
            ns=int(ns) if ns is not None else None,
            redirect=named or (match.group(1).strip() if match else ""),
            model=revision.findtext("{*}model") or "wikitext",
            text=text,
        )
    except ValueError:
        title = element.findtext("{*}title") or "?"
        raise InputError(f"{path}:{element.sourceline}: page {title!r} has no page or revision id") from None


def _forget(element: etree._Element) -> None:
    """Free a page that has been read, and what stood before it."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]  # type: ignore[union-attr]
