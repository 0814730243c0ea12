"""Divide a dump into parts of whole pages, which can be read separately, and parse these, in bounded memory.

The cuts depend on the input and one setting, never on the number of workers. Cost: a single process decompresses input
that can't be cut.
"""

import bz2
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from itertools import pairwise
from typing import IO, cast

from lxml import etree

from nerbert.corpus.wikitext.links import decode_title
from nerbert.errors import InputError, SettingsError
from nerbert.records import RawPage
from nerbert.sources.files import BZ2_STREAM, HashingFile, Source

_INDEX = re.compile(r"-index\d*\.txt")
MOST_PARTS = 100_000
LARGEST_PAGE = 1 << 28
_CHUNK = 1 << 24
_READ = 1 << 18
_PIECE = 1 << 16
_UNPACKED = 1 << 21
"""Bytes to unpack at once, more than a bz2 block; with smaller pieces, parsed in between, it takes twice as long."""
_PAGE_TAG = re.compile(rb"<page(?=[\s/>])")
_LONGEST_MARK = 16
"""Maximum bytes of a stream's head, and of `<page` with the character after it."""
_TO = r"\s*+:?\s*+\[\[:?([^\[\]|\n]*+)"
_ANY_REDIRECT = re.compile(rf"\s*+[#＃][^\s#:\[\]]++{_TO}")
"""A redirect in any language, for pages that are known to be redirects."""
_BETWEEN = 1 << 22
"""Maximum bytes between two pages, or before the first; valid dumps have only the site's facts there."""
_STORED = frozenset(("id", "location"))
"""Attributes of a text that a stub dump leaves out."""
_NUMBER = re.compile(r"\s*(-?[0-9]{1,19})\s*")
_LARGEST = 2**63 - 1


def is_index(source: Source) -> bool:
    """Return whether a source is named like the index of Wikimedia's multistream dumps, which isn't needed."""
    return _INDEX.search(source.name) is not None


@dataclass(frozen=True, slots=True)
class DumpPart:
    """Whole pages of a dump: bytes of its input for a worker to read, or `data`, unpacked by the main process."""

    source: Source
    root: bytes
    """The dump's root tag."""
    number: int
    start: int
    """Start offset in the input, in bytes; for unpacked data, a line of the XML."""
    length: int
    """Number of bytes of the input that it covers."""
    last: bool
    packed: bool = False
    data: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return str(self.source)

    @property
    def position(self) -> str:
        """Its position, for messages."""
        return f"the part from {'byte' if self.data is None else 'line'} {self.start} on"

    def key(self) -> list[object]:
        """Return the values that identify a part: its position or content, and `last`, as the last closes the root."""
        if self.data is not None:
            return [hashlib.sha256(self.data).hexdigest(), self.last]
        return [self.start, self.length, self.last]

    def open(self) -> HashingFile:
        """Open its bytes, which must be complete; they are hashed while being read."""
        if self.data is not None:
            return HashingFile(BytesIO(self.data))
        return HashingFile(self.source.open(self.start, self.start + self.length), self.length, self)

    def xml(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield its pages as a whole XML document, from the stream that `open` returned."""
        # The first part begins with the dump's own root, and the last one ends with its end tag
        if self.number:
            yield self.root
        with self.source.faults():
            yield from unpack_bz2(stream) if self.packed else iter(lambda: stream.read(_PIECE), b"")
        if not self.last:
            yield b"</mediawiki>"


def unpack_bz2(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of bz2 streams, in pieces."""
    unpack = bz2.BZ2Decompressor()
    while data := stream.read(_READ):
        # A step's output is limited, so that data may be left over without new input
        while data or not (unpack.needs_input or unpack.eof):
            if unpack.eof:
                unpack = bz2.BZ2Decompressor()
            yield unpack.decompress(data, _UNPACKED)
            data = unpack.unused_data if unpack.eof else b""
    if not unpack.eof:
        raise EOFError("the last stream has no end")


def step_of(size: int, *, packed: bool, split_bytes: int) -> int:
    """Return the number of bytes between cuts: `split_bytes`, or if it is 0, a value for the size of the input."""
    least, most = (1 << 20, 1 << 23) if packed else (1 << 22, 1 << 25)
    step = split_bytes or min(max(size // 64, least), most)
    if size > step * MOST_PARTS:
        raise SettingsError(f"split_bytes = {split_bytes}: makes more than {MOST_PARTS} parts; choose {size // 10_000}")
    return step


def ranges(source: Source, root: bytes, size: int, *, packed: bool, step: int) -> Iterator[DumpPart]:
    """Yield the parts of a seekable source: cut at the first page or stream at or after each multiple of `step`."""
    cuts = _find_borders(source, size, BZ2_STREAM if packed else _PAGE_TAG, step)
    for number, (start, stop) in enumerate(pairwise(cuts)):
        yield DumpPart(source, root, number, start, stop - start, stop == size, packed)


def _find_borders(source: Source, size: int, mark: re.Pattern[bytes], step: int) -> Iterator[int]:
    """Yield the start offsets of the parts, then the size."""
    last = 0
    yield last
    for cut in range(step, size, step):
        if cut > last:
            last = find_mark(source, mark, cut, size) or size
            yield last
    if last < size:
        yield size


def find_mark(source: Source, mark: re.Pattern[bytes], start: int, stop: int) -> int | None:
    """Return the first offset from `start` to before `stop` at which a stream or page begins; None if none does."""
    text, end = b"", start
    # The second offset only says what to fetch of a remote file; reading may go on
    with source.faults(), source.open(start, start + _LONGEST_MARK) as stream:
        while end - len(text) < stop and (block := stream.read(_PIECE)):
            text = text + block
            end += len(block)
            if match := mark.search(text):
                offset = end - len(text) + match.start()
                return offset if offset < stop else None
            # A mark may lie across two blocks
            text = text[-_LONGEST_MARK:]
    return None


def chunks(
    source: Source, root: bytes, stream: IO[bytes], head: bytes, *, step: int, taken: Callable[[], int]
) -> Iterator[DumpPart]:
    """Yield the parts of an unpacked stream that begins with `head`; `taken` gives the input bytes read so far."""
    if step > LARGEST_PAGE:
        raise SettingsError(
            f"split_bytes = {step}: {source} is unpacked here in pieces of that size; take at most {LARGEST_PAGE}"
        )
    step = step or _CHUNK
    text = bytearray(head)
    number = 0
    line = 1
    covered = 0
    searched = step
    while True:
        match = _PAGE_TAG.search(text, searched)
        searched = max(step, len(text) - _LONGEST_MARK)
        if match is None and (block := stream.read(_READ)):
            text += block
            # Without a bound, a file without any page would fill the memory
            if len(text) > step + LARGEST_PAGE:
                raise InputError(f"{source}: a page of more than {LARGEST_PAGE} bytes; is it a MediaWiki export?")
            continue
        data = bytes(text[: match.start()]) if match else bytes(text)
        yield DumpPart(source, root, number, line, taken() - covered, last=match is None, data=data)
        if match is None:
            return
        del text[: len(data)]
        number += 1
        line += data.count(b"\n")
        covered = taken()
        searched = step


def read_pages(part: DumpPart, stream: HashingFile, redirects: tuple[str, ...] = ("REDIRECT",)) -> Iterator[RawPage]:
    """Yield a part's pages, then raise InputError for a fault in it; `redirects` are the words for `#REDIRECT`."""
    parser = etree.XMLPullParser(
        ("start", "end"),
        tag="{*}page",
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        huge_tree=True,
        resolve_entities="internal",  # type: ignore[arg-type]  # the stubs are older than lxml 5
    )
    pages, size, inside, last = 0, 0, False, "before its first page"
    within = f" of {part.position}" if part.number else ""
    try:
        for xml in part.xml(cast("IO[bytes]", stream)):
            size += len(xml)
            try:
                parser.feed(xml)
            finally:
                # Pages before a fault are yielded before the fault is raised
                for event, element in cast("Iterator[tuple[str, etree._Element]]", parser.read_events()):
                    inside = event == "start"
                    # Bytes since the last page tag, which bound the memory that a page can take
                    size = 0
                    if inside:
                        continue
                    pages += 1
                    try:
                        page = _read_page(element, redirects)
                    except InputError as error:
                        raise InputError(f"{part}: page {pages}{within}, {error}") from error
                    forget(element)
                    last = f"after page {page.title!r} (id {page.page_id})"
                    yield page
            # A page without an end gives no further event, so its size is checked here
            if inside and size > LARGEST_PAGE:
                raise InputError(f"{part}: page {pages + 1}{within} has more than {LARGEST_PAGE} bytes; refused")
            if not inside and size > _BETWEEN:
                raise InputError(
                    f"{part}: {part.position}, {last}: more than {_BETWEEN} bytes that are no page; "
                    "give a pages-articles dump"
                )
        parser.close()
    except etree.XMLSyntaxError as error:
        # The line is known for unpacked data and for the first part; else only the byte is
        first = part.start if part.data is not None else None if part.number else 1
        position = f"{part}: {part.position}, {last}" if first is None else f"{part}:{first + (error.lineno or 1) - 1}"
        raise InputError(f"{position}: {fault_of(error)}") from error


def fault_of(error: etree.XMLSyntaxError) -> str:
    """Return a message with the fault and its remedy."""
    # libxml2 appends its own line number, which counts from the part's beginning
    message = (error.msg or "").partition(", line ")[0]
    # Messages that a cut or foreign file gives; others mean a fault inside the XML
    if re.search("Premature end|Extra content|not found|Couldn't find end|Document is empty", message):
        return f"not a complete MediaWiki export ({message}); is it cut off, or no XML at all? Fetch it again"
    return f"not well-formed XML: {message}; fetch it again"


def number_in(text: str | None, *, lowest: int, highest: int = _LARGEST) -> int | None:
    """Parse the number in `text`; return None if there is none within bounds."""
    match = _NUMBER.fullmatch(text or "")
    number = int(match.group(1)) if match else None
    return number if number is not None and lowest <= number <= highest else None


def _read_page(element: etree._Element, redirects: tuple[str, ...]) -> RawPage:
    """Return a page with its newest revision; missing ids are an error, because sentence ids depend on them."""
    page = _read_fields(element)
    revision = _read_fields(page["revision"]) if "revision" in page else {}
    title = _read_text(page, "title") or ""
    ns = _read_text(page, "ns")
    page_id, revision_id = (number_in(_read_text(fields, "id"), lowest=0) for fields in (page, revision))
    if page_id is None or revision_id is None:
        raise InputError(
            f"{title!r}, has no usable {'page' if page_id is None else 'revision'} id; fetch the dump again"
        )
    namespace = number_in(ns, lowest=-2, highest=2**31 - 1)
    if ns is not None and namespace is None:
        raise InputError(f"{title!r}, has namespace {ns!r}; fetch the dump again")
    text = _read_text(revision, "text") or ""
    redirect = page.get("redirect")
    # A stub dump gives only the text's id; an empty page has a text element without it
    if not text and "text" in revision and not _STORED.isdisjoint(map(str, revision["text"].keys())):
        raise InputError(
            f"{title!r}, has no text, only the number of its text, so this is a stub dump; give a pages-articles dump"
        )
    target = _find_redirect(None if redirect is None else redirect.get("title"), text, redirects)
    return RawPage(page_id, revision_id, title, namespace, target, _read_text(revision, "model") or "wikitext", text)


def _read_fields(element: etree._Element) -> dict[str, etree._Element]:
    """Return the parts of a page or a revision by name: the first of each name, or the newest revision."""
    space = str(element.tag).rpartition("}")[0]
    fields = dict[str, etree._Element]()
    for child in element.iterchildren(f"{space or '{'}}}*"):
        name = str(child.tag).rpartition("}")[2]
        # A dump of all revisions has several, in no certain order
        if name not in fields or (name == "revision" and _number_revision(child) >= _number_revision(fields[name])):
            fields[name] = child
    return fields


def _number_revision(revision: etree._Element) -> int:
    """Return a revision's id, -1 for none; the newest has the highest."""
    number = number_in(_read_text(_read_fields(revision), "id"), lowest=0)
    return -1 if number is None else number


def _read_text(fields: dict[str, etree._Element], name: str) -> str | None:
    """Return the text of a part, None if there is no such part."""
    part = fields.get(name)
    return None if part is None else part.text or ""


def _find_redirect(named: str | None, text: str, redirects: tuple[str, ...]) -> str:
    """Return the target of a redirect with `#section`, "" for none; `named` is the export's target, without section."""
    # If the export marks a redirect, its word may be of any language, and only the section is
    # read from the text; without the mark, only the wiki's own words make a redirect
    match = (_ANY_REDIRECT if named else _compile_redirect(redirects)).match(text)
    title, _, section = decode_title(match[1] if match else "").partition("#")
    title = named or title.strip()
    section = section.rstrip()
    return f"{title}#{section}" if title and section else title


@cache
def _compile_redirect(redirects: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\s*+[#＃](?:{'|'.join(map(re.escape, redirects))}){_TO}", re.IGNORECASE)


def forget(element: etree._Element) -> None:
    """Free an element that has been read, and its preceding siblings, so that memory is bounded by one."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]  # type: ignore[union-attr]
