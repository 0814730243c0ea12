"""The one parser of dumps: it reads a part's XML and yields its pages, in bounded memory.

In an export every raw `<` begins a tag, because text is escaped. A comment or CDATA that contains a `<page` is refused,
and so is a document type. So a page belongs to the part in which its `<page` begins: a part starts at its first one and
continues beyond its end up to the next (Hadoop's rule). That holds wherever streams are cut, between pages or inside a
word. The cost: a part may read a little of the next one.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import cast

from lxml import etree

from nerbert.corpus.dump.splits import LARGEST_PAGE, Chunk, Range, Seen
from nerbert.errors import InputError, at
from nerbert.records import RawPage

_TO = r"\s*+:?\s*+\[\[:?([^\[\]|#\n]*+)(#[^\[\]|\n]*+)?"
_REDIRECT = re.compile(
    rf"\s*+#(?:redirect|redirection|weiterleitung|rinvia|redirecció|redirección){_TO}", re.IGNORECASE
)
_ANY_REDIRECT = re.compile(rf"\s*+#[^\s#:\[\]]++{_TO}")
"""A redirect in any language, for pages that are known to be redirects."""
_TAG = re.compile(rb"<(?:page(?=[\s/>])|/mediawiki(?=[\s>])|!--|!\[CDATA\[|!(?=[^\[-])|\?)")
_HIDING = {
    begin: re.compile(re.escape(end) + rb"|<(?:page(?=[\s/>])|/mediawiki(?=[\s>]))")
    for begin, end in ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))
}
"""The starts of comments, CDATA and instructions, with what ends them or must not occur in them."""
_TAG_LENGTH, _TAIL = 12, 64
_BETWEEN = 1 << 22
"""Maximum bytes between two pages, or before the first; valid dumps have only the site's facts there."""
_NEVER = 1 << 63
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DumpPart:
    """The input of a worker for one part: the bytes, their number in the dump, and the dump's root tag."""

    data: Range | Chunk
    number: int
    root: bytes

    def __str__(self) -> str:
        return str(self.data)


class PageCutter:
    """Cuts from a part's pieces the XML of the pages that begin in it; the dump's end tag counts as a page.

    What follows the end tag is kept too, so that the parser refuses it. The first part keeps the dump's head.
    """

    def __init__(self, seen: Seen, *, first: bool) -> None:
        self._seen, self.begun, self._met = seen, first, False
        self._text, self._tail, self._place, self._limit = b"", b"", 0, _NEVER
        self._next, self._wanted = 0, _TAG
        self.over = False

    def feed(self, data: bytes, *, own: bool) -> bytes:
        """Return the next XML to parse; `over` is set once there is no more."""
        if not own and self._limit == _NEVER:
            self._limit = self._place + len(self._text)
            if self._met and self._wanted is _TAG and (self._tail + self._text).rstrip().endswith(b"</page>"):
                self.over = True
                return self._text
        self._text += data
        return self._take(*self._judge())

    def rest(self) -> bytes:
        """Return the remaining text at the end of the input."""
        return self._text if self.begun and not self.over else b""

    def _judge(self) -> tuple[int, int]:
        """Return the start and end of the text to keep."""
        start = 0 if self.begun else _NEVER
        while match := self._wanted.search(self._text, self._next):
            tag, place = match.group(), match.start()
            self._next = match.end()
            if tag in (b"<page", b"</mediawiki") and self._wanted is _TAG:
                if self._place + place >= self._limit and not self._seen.closed:
                    self.over = True
                    return start, place
                self._met = True
                start = min(start, place)
                self._seen.closed |= tag != b"<page"
            else:
                self._wanted = self._hide(tag)
        stop = max(0, len(self._text) - _TAG_LENGTH)
        return start, stop if start == _NEVER else max(start, stop)

    def _hide(self, tag: bytes) -> re.Pattern[bytes]:
        """Return the pattern to search for after the start or the end of a comment, CDATA or instruction."""
        if self._wanted is not _TAG and not tag.startswith(b"<"):
            return _TAG
        if self._wanted is not _TAG or tag not in _HIDING:
            what = "a document type" if self._wanted is _TAG else f"{tag.decode()} in a comment or CDATA"
            raise InputError(f"{what} among the pages, which no MediaWiki export has; give a pages-articles dump")
        return _HIDING[tag]

    def _take(self, start: int, stop: int) -> bytes:
        """Cut off the text up to `stop`, and return it from `start` on."""
        kept = self._text[start:stop]
        self.begun = self.begun or start != _NEVER
        self._tail = (self._tail + kept[-_TAIL:])[-_TAIL:]
        self._text, self._place, self._next = self._text[stop:], self._place + stop, max(0, self._next - stop)
        self.over = self.over or (not self.begun and self._place >= self._limit)
        return kept


def read_pages(part: DumpPart, seen: Seen) -> Iterator[RawPage]:
    """Yield the pages that begin in a part; `seen` is whole at the end. InputErrors name file and place."""
    cutter = PageCutter(seen, first=part.number == 0)
    parser = etree.XMLPullParser(
        ("start", "end"), tag="{*}page", no_network=True, load_dtd=False, remove_comments=True, remove_pis=True,
        huge_tree=True, resolve_entities="internal",  # type: ignore[arg-type]  # the stubs are older than lxml 5
    )  # fmt: skip
    reader = _Reader(part, seen)
    with _faults(part, reader), closing(part.data.pieces(seen)) as pieces:
        if part.number:
            parser.feed(part.root)
        for xml in kept_xml(str(part), pieces, cutter):
            try:
                parser.feed(xml)
            finally:
                yield from reader.pages(parser, len(xml))
        if cutter.over:
            parser.feed(b"</mediawiki>")
        if cutter.over or cutter.begun:
            parser.close()
        seen.whole = True
    if part.data.index is not None:
        part.data.index.check(seen.heads, seen.pages)


def fault_of(error: etree.XMLSyntaxError) -> str:
    """Return a message with the fault and its remedy."""
    message = (error.msg or "").partition(", line ")[0]
    if any(
        word in message
        for word in ("Premature end", "Extra content", "not found", "Couldn't find end", "Document is empty")
    ):
        return f"not a whole MediaWiki export ({message}); is it cut off, or no XML at all? Fetch it again"
    return f"not well-formed XML: {message}; fetch it again"


def number_in(text: str | None, *, lowest: int, highest: int = _LARGEST) -> int | None:
    """Parse the number in `text`; return None if there is none within bounds."""
    match = re.fullmatch(r"\s*(-?[0-9]{1,19})\s*", text or "")
    number = int(match.group(1)) if match else None
    return number if number is not None and lowest <= number <= highest else None


@contextmanager
def _faults(part: DumpPart, reader: "_Reader") -> Iterator[None]:
    """Convert parser errors to InputErrors with the line in the file, or if that is unknown, the page before it."""
    try:
        yield
    except etree.XMLSyntaxError as error:
        line, first = error.lineno or 1, part.data.first_line
        place = f"{part}: {part.data.place}, {reader.last}" if first is None else f"{part}:{first + line - 1}"
        raise InputError(f"{place}: {fault_of(error)}") from error


def kept_xml(name: str, pieces: Iterator[tuple[bytes, bool]], cutter: PageCutter) -> Iterator[bytes]:
    """Yield the XML that a cutter keeps of a part's pieces."""
    for piece, own in pieces:
        with at(name):
            xml = cutter.feed(piece, own=own)
        if xml:
            yield xml
        if cutter.over:
            return
    yield cutter.rest()


class _Reader:
    """Reads pages from a parser, and limits the parser's memory."""

    def __init__(self, part: DumpPart, seen: Seen) -> None:
        self._part, self._seen = part, seen
        self._inside, self._size = False, 0
        self.last = "before its first page"

    def pages(self, parser: etree.XMLPullParser, more: int) -> Iterator[RawPage]:
        """Yield the pages that ended within the next `more` bytes of XML."""
        self._size += more
        for event, element in cast("Iterator[tuple[str, etree._Element]]", parser.read_events()):
            self._inside, self._size = event == "start", 0
            if self._inside:
                continue
            self._seen.pages += 1
            page = _page(element, f"{self._part}: {self._place}")
            _forget(element)
            self.last = f"after page {page.title!r} (id {page.page_id})"
            yield page
        self._check()

    def _check(self) -> None:
        """Raise InputError for an endless page, and for endless other data between pages."""
        if self._inside and self._size > LARGEST_PAGE:
            raise InputError(f"{self._part}: page {self._seen.pages + 1} has more than {LARGEST_PAGE} bytes; refused")
        if not self._inside and self._size > _BETWEEN:
            raise InputError(f"{self._part}: {self._part.data.place}, {self.last}: more than {_BETWEEN} bytes that are "
                             "no page; give a pages-articles dump")  # fmt: skip

    @property
    def _place(self) -> str:
        return f"page {self._seen.pages}{f' of {self._part.data.place}' if self._part.number else ''}"


def _page(element: etree._Element, place: str) -> RawPage:
    """Return a page with its last revision; missing ids are an error, because sentence ids depend on them."""
    revisions = element.findall("{*}revision")
    revision = revisions[-1] if revisions else element
    title = element.findtext("{*}title") or ""
    page_id, revision_id = (number_in(each.findtext("{*}id"), lowest=0) for each in (element, revision))
    if page_id is None or revision_id is None or not revisions:
        what = "page id" if page_id is None else "revision id"
        raise InputError(f"{place}, {title!r}, has no usable {what}; fetch the dump again")
    ns = element.findtext("{*}ns")
    namespace = number_in(ns, lowest=-2, highest=2**31 - 1)
    if ns is not None and namespace is None:
        raise InputError(f"{place}, {title!r}, has namespace {ns!r}; fetch the dump again")
    text = revision.findtext("{*}text") or ""
    model = revision.findtext("{*}model") or "wikitext"
    return RawPage(page_id, revision_id, title, namespace, _redirect(element, text), model, text)


def _redirect(element: etree._Element, text: str) -> str:
    """Return the target of a page's redirect, with `#` and the section if it has one; "" for none.

    Exports name the page, and leave the section to the text; old exports have both in the text only.
    """
    redirect = element.find("{*}redirect")
    named = redirect.get("title") if redirect is not None else None
    match = (_ANY_REDIRECT if named else _REDIRECT).match(text)
    title, section = (named or match[1].strip(), (match[2] or "").strip()) if match else (named or "", "")
    return f"{title}{section}" if title and len(section) > 1 else title


def _forget(element: etree._Element) -> None:
    """Free a page that has been read, and its preceding siblings."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]  # type: ignore[union-attr]
