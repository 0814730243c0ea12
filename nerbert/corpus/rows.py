"""Pages → rows: the sentences of an article with their links, and one row for the page itself.

Rows gather in memory until they are taken as Arrow tables, so that a worker's memory does not follow the dump's size.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from nerbert.corpus.sentences import sentence_spans
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TITLES, UNTYPED, spans
from nerbert.corpus.sites import Site
from nerbert.corpus.wikitext import clean_page
from nerbert.records import CleanPage, Link, RawPage, Reason, sentence_id
from nerbert.words import split_words

ARTICLE = "article"
_FULL = 10_000


@dataclass(slots=True)
class PageReport:
    """What pass 1 saw: fates of pages, links kept and dropped; adds up over parts."""

    fates: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)

    def add(self, other: "PageReport") -> None:
        """Add another part's counts."""
        self.fates.update(other.fates)
        self.links.update(other.links)


class PageRows:
    """Gathers the rows of pages, in order; `report` counts all pages that were ever added."""

    def __init__(self, site: Site, settings: CorpusSettings) -> None:
        self.site, self.settings, self.report = site, settings, PageReport()
        self._sentences: list[dict[str, Any]] = []
        self._titles: list[dict[str, Any]] = []

    @property
    def full(self) -> bool:
        """Whether it is time to `take`."""
        return len(self._sentences) >= _FULL or len(self._titles) >= _FULL

    def add(self, page: RawPage, number: int) -> None:
        """Clean a page; `number` is its place in the input."""
        ns = page.ns if page.ns is not None else self.site.namespace(page.title)
        fate = _fate(page, ns, self.settings)
        clean = CleanPage("", (), (), Counter())
        if fate is None:
            clean = clean_page(page.title, page.text, self.site, lists=self.settings.lists)
            fate = None if clean.text else Reason.EMPTY_TEXT
        self._sentences += _sentence_rows(page, number, clean, self.site, self.report)
        self._titles.append(_title_row(page, number, ns, fate, clean))
        self.report.fates[fate or ARTICLE] += 1

    def take(self) -> tuple[pa.Table, pa.Table]:
        """The rows since the last call, as tables with the schemas UNTYPED and TITLES."""
        tables = (
            pa.Table.from_pylist(self._sentences, schema=UNTYPED),
            pa.Table.from_pylist(self._titles, schema=TITLES),
        )
        self._sentences, self._titles = [], []
        return tables


def _fate(page: RawPage, ns: int, settings: CorpusSettings) -> Reason | None:
    """Why a page gives no text; None for an article."""
    if page.redirect:
        return Reason.REDIRECT
    if ns != 0:
        return Reason.NOT_AN_ARTICLE
    if not page.title.strip():
        return Reason.NO_TITLE
    if page.model != "wikitext":
        return Reason.NOT_WIKITEXT
    return Reason.PAGE_TOO_LONG if len(page.text) > settings.max_page_characters else None


def _sentence_rows(
    page: RawPage, number: int, clean: CleanPage, site: Site, report: PageReport
) -> Iterator[dict[str, Any]]:
    report.links["found"] += len(clean.links) + clean.dropped_links.total()
    report.links.update(clean.dropped_links)
    for start, end, links in _split(clean, site.language):
        text = clean.text[start:end]
        words = split_words(text)
        if words:
            kept = list(_on_words(links, words, start))
            report.links["kept"] += len(kept)
            report.links[Reason.CUTS_A_WORD] += len(links) - len(kept)
            yield {
                "id": sentence_id(site.wiki, page.page_id, page.revision, start), "wiki": site.wiki,
                "page_id": page.page_id, "revision": page.revision, "title": page.title, "start": start,
                "text": text, "words": spans(words), "links": kept, "page_number": number,
            }  # fmt: skip
        else:
            report.links[Reason.EMPTY_ANCHOR] += len(links)


def _split(clean: CleanPage, language: str) -> Iterator[tuple[int, int, list[Link]]]:
    """Sentences of a page as `(start, end, links inside)`, offsets in the page's text."""
    place = offset = 0
    links = clean.links
    for block in clean.text.split("\n"):
        stop = place
        while stop < len(links) and links[stop].start < offset + len(block):
            stop += 1
        inside = [Link(link.start - offset, link.end - offset, link.target) for link in links[place:stop]]
        for start, end in sentence_spans(block, inside, language):
            first = place
            while place < stop and links[place].start < offset + end:
                place += 1
            yield offset + start, offset + end, list(links[first:place])
        place = stop
        offset += len(block) + 1


def _on_words(links: Iterable[Link], words: Sequence[tuple[int, int]], offset: int) -> Iterator[dict[str, Any]]:
    """Links whose anchors begin and end where words do, relative to the sentence."""
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    for link in links:
        start, end = link.start - offset, link.end - offset
        if start in starts and end in ends:
            yield {"start": start, "end": end, "target": link.target}


def _title_row(page: RawPage, number: int, ns: int, fate: Reason | None, clean: CleanPage) -> dict[str, Any]:
    return {
        "page_number": number, "page_id": page.page_id, "revision": page.revision, "title": page.title, "ns": ns,
        "redirect": page.redirect, "fate": fate or ARTICLE,
        "infoboxes": [
            {"template": box.template, "parameters": [{"name": n, "value": v} for n, v in box.parameters]}
            for box in clean.infoboxes
        ],
    }  # fmt: skip
