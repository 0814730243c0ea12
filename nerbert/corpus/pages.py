"""Pass 1: pages in, untyped sentences with their links out, and a row for every page of the dump.

All later steps read these columns only: the dump is read once. Work travels in batches of pages whose borders depend
on the input alone, so any number of workers writes the same shards.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from nerbert.corpus.dump import Dump
from nerbert.corpus.sentences import sentence_spans
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TITLES, UNTYPED, ShardWriter, spans
from nerbert.corpus.sites import Site
from nerbert.corpus.wikitext import clean_page
from nerbert.records import CleanPage, Link, RawPage, Reason, sentence_id
from nerbert.show import Progress
from nerbert.words import split_words
from nerbert.work import run_ordered

ARTICLE = "article"
_BATCH_PAGES, _BATCH_CHARACTERS = 200, 2_000_000


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pages to clean, with their places in the input."""

    site: Site
    settings: CorpusSettings
    first: int
    pages: list[RawPage]


@dataclass(slots=True)
class PageReport:
    """What pass 1 saw: fates of pages, links kept and dropped; adds up over batches."""

    fates: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)

    def add(self, other: "PageReport") -> None:
        """Add another batch's counts."""
        self.fates.update(other.fates)
        self.links.update(other.links)


def write_pages(
    dumps: Sequence[Dump], folder: Path, settings: CorpusSettings, workers: int, progress: Progress
) -> PageReport:
    """Read all dumps once, and write `pages/` and `titles/` below `folder`."""
    sentences = ShardWriter(folder / "pages", UNTYPED, settings.shard_sentences)
    titles = ShardWriter(folder / "titles", TITLES, 10 * settings.shard_sentences)
    report = PageReport()
    for rows, page_rows, batch_report in run_ordered(_clean_batch, _batches(dumps, settings), workers):
        sentences.add(rows)
        titles.add(page_rows)
        report.add(batch_report)
        progress.advance(page_rows.num_rows)
    sentences.close()
    titles.close()
    return report


def _batches(dumps: Sequence[Dump], settings: CorpusSettings) -> Iterator[_Batch]:
    number = 0
    for dump in dumps:
        pages: list[RawPage] = []
        size = 0
        for page in dump.pages():
            pages.append(page)
            size += len(page.text)
            if len(pages) == _BATCH_PAGES or size > _BATCH_CHARACTERS:
                yield _Batch(dump.site, settings, number, pages)
                number, pages, size = number + len(pages), [], 0
        yield _Batch(dump.site, settings, number, pages)
        number += len(pages)


def _clean_batch(batch: _Batch) -> tuple[pa.Table, pa.Table, PageReport]:
    rows: list[dict[str, Any]] = []
    titles: list[dict[str, Any]] = []
    report = PageReport()
    for number, page in enumerate(batch.pages, batch.first):
        ns = page.ns if page.ns is not None else batch.site.namespace(page.title)
        fate = _fate(page, ns, batch.settings)
        clean = CleanPage("", (), (), Counter())
        if fate is None:
            clean = clean_page(page.title, page.text, batch.site, lists=batch.settings.lists)
            fate = None if clean.text else Reason.EMPTY_TEXT
        rows += _sentence_rows(page, number, clean, batch, report)
        titles.append(_title_row(page, number, ns, fate, clean))
        report.fates[fate or ARTICLE] += 1
    return pa.Table.from_pylist(rows, schema=UNTYPED), pa.Table.from_pylist(titles, schema=TITLES), report


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
    page: RawPage, number: int, clean: CleanPage, batch: _Batch, report: PageReport
) -> Iterator[dict[str, Any]]:
    report.links["found"] += len(clean.links) + clean.dropped_links.total()
    report.links.update(clean.dropped_links)
    for start, end, links in _split(clean, batch.site.language):
        text = clean.text[start:end]
        words = split_words(text)
        if words:
            kept = list(_on_words(links, words, start))
            report.links["kept"] += len(kept)
            report.links[Reason.CUTS_A_WORD] += len(links) - len(kept)
            yield {
                "id": sentence_id(batch.site.wiki, page.page_id, page.revision, start), "wiki": batch.site.wiki,
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
