"""The one parser of dumps: it reads a part's XML and yields its pages, in bounded memory."""

import re
from collections.abc import Iterator
from functools import cache
from typing import IO, cast

from lxml import etree

from nerbert.corpus.dump.parts import LARGEST_PAGE, DumpPart
from nerbert.errors import InputError
from nerbert.records import RawPage
from nerbert.sources.files import HashingFile

_TO = r"\s*+:?\s*+\[\[:?([^\[\]|#\n]*+)(#[^\[\]|\n]*+)?"
_ANY_REDIRECT = re.compile(rf"\s*+[#＃][^\s#:\[\]]++{_TO}")
"""A redirect in any language, for pages that are known to be redirects."""
_BETWEEN = 1 << 22
"""Maximum bytes between two pages, or before the first; valid dumps have only the site's facts there."""
_NUMBER = re.compile(r"\s*(-?[0-9]{1,19})\s*")
_LARGEST = 2**63 - 1


def read_pages(part: DumpPart, stream: HashingFile, redirects: tuple[str, ...] = ("REDIRECT",)) -> Iterator[RawPage]:
    """Yield a part's pages, then raise InputError for a fault in it; `redirects` are the words for `#REDIRECT`."""
    parser = etree.XMLPullParser(
        ("start", "end"), tag="{*}page", no_network=True, load_dtd=False, remove_comments=True, remove_pis=True,
        huge_tree=True, resolve_entities="internal",  # type: ignore[arg-type]  # the stubs are older than lxml 5
    )  # fmt: skip
    pages, size, inside, last = 0, 0, False, "before its first page"
    within = f" of {part.place}" if part.number else ""
    try:
        for xml in part.xml(cast("IO[bytes]", stream)):
            size += len(xml)
            try:
                parser.feed(xml)
            finally:
                for event, element in cast("Iterator[tuple[str, etree._Element]]", parser.read_events()):
                    inside, size = event == "start", 0
                    if inside:
                        continue
                    pages += 1
                    try:
                        page = _page(element, redirects)
                    except InputError as error:
                        raise InputError(f"{part}: page {pages}{within}, {error}; fetch the dump again") from error
                    forget(element)
                    last = f"after page {page.title!r} (id {page.page_id})"
                    yield page
            if inside and size > LARGEST_PAGE:
                raise InputError(f"{part}: page {pages + 1}{within} has more than {LARGEST_PAGE} bytes; refused")
            if not inside and size > _BETWEEN:
                raise InputError(f"{part}: {part.place}, {last}: more than {_BETWEEN} bytes that are no page; "
                                 "give a pages-articles dump")  # fmt: skip
        parser.close()
    except etree.XMLSyntaxError as error:
        first = part.first_line
        place = f"{part}: {part.place}, {last}" if first is None else f"{part}:{first + (error.lineno or 1) - 1}"
        raise InputError(f"{place}: {fault_of(error)}") from error


def fault_of(error: etree.XMLSyntaxError) -> str:
    """Return a message with the fault and its remedy."""
    message = (error.msg or "").partition(", line ")[0]
    if any(
        word in message
        for word in ("Premature end", "Extra content", "not found", "Couldn't find end", "Document is empty")
    ):
        return f"not a complete MediaWiki export ({message}); is it cut off, or no XML at all? Fetch it again"
    return f"not well-formed XML: {message}; fetch it again"


def number_in(text: str | None, *, lowest: int, highest: int = _LARGEST) -> int | None:
    """Parse the number in `text`; return None if there is none within bounds."""
    match = _NUMBER.fullmatch(text or "")
    number = int(match.group(1)) if match else None
    return number if number is not None and lowest <= number <= highest else None


def _page(element: etree._Element, redirects: tuple[str, ...]) -> RawPage:
    """Return a page with its last revision; missing ids are an error, because sentence ids depend on them."""
    page = _fields(element)
    revision = _fields(page["revision"]) if "revision" in page else {}
    title, ns = _text(page, "title") or "", _text(page, "ns")
    page_id, revision_id = (number_in(_text(each, "id"), lowest=0) for each in (page, revision))
    if page_id is None or revision_id is None:
        raise InputError(f"{title!r}, has no usable {'page' if page_id is None else 'revision'} id")
    namespace = number_in(ns, lowest=-2, highest=2**31 - 1)
    if ns is not None and namespace is None:
        raise InputError(f"{title!r}, has namespace {ns!r}")
    text, redirect = _text(revision, "text") or "", page.get("redirect")
    target = _redirect(None if redirect is None else redirect.get("title"), text, redirects)
    return RawPage(page_id, revision_id, title, namespace, target, _text(revision, "model") or "wikitext", text)


def _fields(element: etree._Element) -> dict[str, etree._Element]:
    """Return the parts of a page or a revision by their names: the first of each, but the last revision."""
    space, found = str(element.tag).rpartition("}")[0], dict[str, etree._Element]()
    for each in element.iterchildren(f"{space or '{'}}}*"):
        name = str(each.tag).rpartition("}")[2]
        if name == "revision" or name not in found:
            found[name] = each
    return found


def _text(fields: dict[str, etree._Element], name: str) -> str | None:
    """Return the text of a part, None where there is no such part."""
    part = fields.get(name)
    return None if part is None else part.text or ""


def _redirect(named: str | None, text: str, redirects: tuple[str, ...]) -> str:
    """Return the target of a page's redirect, with `#` and the section if it has one; "" for none.

    Exports have it as `named`, and leave the section to the text; old exports have both in the text only.
    """
    match = (_ANY_REDIRECT if named else _one_of(redirects)).match(text)
    title, section = (named or match[1].strip(), (match[2] or "").strip()) if match else (named or "", "")
    return f"{title}{section}" if title and len(section) > 1 else title


@cache
def _one_of(redirects: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\s*+[#＃](?:{'|'.join(map(re.escape, redirects))}){_TO}", re.IGNORECASE)


def forget(element: etree._Element) -> None:
    """Free an element that has been read, and its preceding siblings, so that memory is bounded by one."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]  # type: ignore[union-attr]
