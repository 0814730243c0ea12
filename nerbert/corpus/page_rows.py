"""Convert pages to rows: the sentences of an article with their links, and one row for the page itself.

For speed, words and links of hundreds of sentences are computed together, as columns, and rows are never dicts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, compress
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.dump.sites import Site
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TITLES, UNTYPED
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.corpus.word_columns import Ints, Links, Words, links_on_words, numbers_column, strings_column, words_of
from nerbert.records import LINK, CleanPage, Infobox, RawPage, Reason, sentence_id
from nerbert.sentences import RuleSplitter, join_in_links
from nerbert.words import splitter_named

ARTICLE = "article"
_PACK = 500
"""Number of sentences whose words are computed together: few enough to fit in a processor's cache."""
_FULL = 10_000
_HEAVY = 1 << 24
"""Limits at which rows must be taken: number of sentences or pages, and characters of wikitext."""
_LONGEST_PAGE = 5_000_000
"""Maximum characters of wikitext; MediaWiki allows at most 2 MiB."""
_NOTHING = CleanPage()
_Item = TypeVar("_Item")


@dataclass(slots=True)
class PageReport:
    """Counts of pass 1: pages and links kept and dropped; reports of parts can be added."""

    fates: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)
    grown: int = 0
    """Kept links that were extended to a whole word."""

    def add(self, other: "PageReport") -> None:
        """Add another part's counts."""
        self.fates.update(other.fates)
        self.links.update(other.links)
        self.grown += other.grown


@dataclass(slots=True)
class _Pack:
    """The sentences of several pages, by column; positions are in the pages' concatenated texts."""

    texts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    """Index of each sentence's page within the pack."""
    link_starts: list[int] = field(default_factory=list)
    link_ends: list[int] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    page_rows: list[tuple[int, RawPage]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=lambda: [0])
    """The start of each page, and of the next page to be added."""

    def add(self, number: int, page: RawPage, clean: CleanPage, spans: Sequence[tuple[int, int]]) -> None:
        """Add an article's sentences and links; `page` must not contain its wikitext, to save memory."""
        offset = self.offsets[-1]
        text = clean.text
        self.texts += [text[start:end] for start, end in spans]
        self.starts += [offset + start for start, _ in spans]
        self.pages += [len(self.page_rows)] * len(spans)
        self.link_starts += [offset + start for start in clean.starts]
        self.link_ends += [offset + end for end in clean.ends]
        self.targets += clean.targets
        self.page_rows.append((number, page))
        self.offsets.append(offset + len(text) + 1)


class PageRows:
    """Collector of the rows of pages, in order; `report` counts all pages ever added, even after `take`."""

    def __init__(self, site: Site, settings: CorpusSettings) -> None:
        self.site = site
        self.settings = settings
        self.report = PageReport()
        self._splitter = RuleSplitter(site.language)
        self._words = splitter_named(settings.word_splitter)
        self._grow = site if settings.glued == "grow" else None
        self._pack = _Pack()
        self._packed: list[pa.RecordBatch] = []
        self._sentences = self._weight = 0
        self._titles: list[tuple[int, RawPage, int, str, CleanPage]] = []

    @property
    def full(self) -> bool:
        """True if the rows should be taken now."""
        return self._sentences >= _FULL or len(self._titles) >= _FULL or self._weight >= _HEAVY

    def add(self, page: RawPage, number: int) -> None:
        """Scan a page and add its rows; `number` is its position in the input."""
        # Old dumps lack the namespace's number
        ns = page.ns if page.ns is not None else self.site.namespace(page.title)
        self._weight += len(page.text)
        fate = drop_reason(page, ns)
        clean = _NOTHING
        if fate is None:
            clean = scan_page(page.title, page.text, self.site, lists=self.settings.lists)
            fate = None if clean.text else Reason.EMPTY_TEXT
        self.report.links["found"] += len(clean.starts) + clean.dropped_links.total()
        self.report.links.update(clean.dropped_links)
        bare = page._replace(text="")
        if clean.text:
            # A sentence must not end inside a link: `[[St. Louis]]`
            spans = join_in_links(self._splitter.spans(clean.text), clean.starts, clean.ends)
            self._pack.add(number, bare, clean, spans)
            self._sentences += len(spans)
            if len(self._pack.texts) >= _PACK:
                self._close_pack()
        # Infoboxes are kept also for pages without text, as they type the page's title
        facts = CleanPage(infoboxes=clean.infoboxes, categories=clean.categories)
        self._titles.append((number, bare, ns, fate or ARTICLE, facts))
        self.report.fates[fate or ARTICLE] += 1

    def _close_pack(self) -> None:
        pack = self._pack
        self._pack = _Pack()
        if not pack.texts:
            return
        words = words_of(pack.texts, self._words)
        counts = np.diff(words.first)
        # Sentences without words have only control characters; drop them
        if not counts.all():
            pack.texts = list(compress(pack.texts, counts))
            pack.starts, pack.pages = list(compress(pack.starts, counts)), list(compress(pack.pages, counts))
            words = words_of(pack.texts, self._words)
        links = links_on_words(pack.starts, pack.texts, words, pack.link_starts, pack.link_ends, self._grow)
        self.report.links["kept"] += len(links.numbers)
        self.report.grown += links.grown
        self.report.links[Reason.CUTS_A_WORD] += links.cutting
        self.report.links[Reason.EMPTY_ANCHOR] += links.outside
        self._packed.append(_sentence_batch(pack, words, links, self.site))

    def take(self) -> tuple[pa.Table, pa.Table]:
        """Return the rows since the last call, as tables with the schemas UNTYPED and TITLES."""
        self._close_pack()
        sentences = pa.Table.from_batches(self._packed, UNTYPED)
        titles = _title_table(self._titles)
        self._packed = []
        self._titles = []
        self._sentences = 0
        self._weight = 0
        return sentences, titles


def drop_reason(page: RawPage, ns: int) -> Reason | None:
    """Return the reason to skip a page's text; None for an article."""
    # A redirect comes first: in another namespace it is still counted as one
    if page.redirect:
        return Reason.REDIRECT
    if ns != 0:
        return Reason.NOT_AN_ARTICLE
    if not page.title.strip():
        return Reason.NO_TITLE
    if page.model != "wikitext":
        return Reason.NOT_WIKITEXT
    return Reason.PAGE_TOO_LONG if len(page.text) > _LONGEST_PAGE else None


def _sentence_batch(pack: _Pack, words: Words, links: Links, site: Site) -> pa.RecordBatch:
    """Return rows of `pages/`; values that a page's sentences share are computed once per page."""
    pages = np.array(pack.pages, np.int64)
    numbers, raw = zip(*pack.page_rows, strict=True)
    ids = [sentence_id(site.wiki, page.page_id, page.revision, 0).removesuffix("0") for page in raw]
    common: dict[str, pa.Array] = {
        "id": strings_column(ids),
        "wiki": strings_column([site.wiki] * len(raw)),
        "page_id": numbers_column([page.page_id for page in raw], pa.int64()),
        "revision": numbers_column([page.revision for page in raw], pa.int64()),
        "title": strings_column([page.title for page in raw]),
        "page_number": numbers_column(numbers, pa.int64()),
    }
    columns = {name: column.take(numbers_column(pages, pa.int64())) for name, column in common.items()}
    starts = numbers_column(np.array(pack.starts, np.int64) - np.array(pack.offsets, np.int64)[pages], pa.int32())
    begin = np.repeat(words.sentences[:-1], np.diff(words.first))
    fields = {
        "target": strings_column([pack.targets[number] for number in links.numbers.tolist()]),
        "origin": strings_column([LINK] * len(links.numbers)),
    }
    columns |= {
        "id": pc.binary_join_element_wise(columns["id"], starts.cast(pa.string()), strings_column([""])[0]),
        "start": starts,
        "text": strings_column(pack.texts),
        "words": _make_lists(words.first, words.starts - begin, words.ends - begin),
        "links": _make_lists(links.first, links.starts, links.ends, **fields),
    }
    return pa.RecordBatch.from_pydict(columns, schema=UNTYPED)


def _make_lists(first: Ints, starts: Ints, ends: Ints, **texts: pa.Array) -> pa.Array:
    """Return lists of (start, end) and further texts; list n runs from `first[n]` to `first[n + 1]`."""
    arrays = {"start": numbers_column(starts, pa.int32()), "end": numbers_column(ends, pa.int32()), **texts}
    structs = pa.StructArray.from_arrays([*arrays.values()], names=[*arrays])
    return pa.ListArray.from_arrays(numbers_column(first, pa.int32()), structs)


def _title_table(rows: Sequence[tuple[int, RawPage, int, str, CleanPage]]) -> pa.Table:
    numbers, pages, spaces, fates, texts = zip(*rows, strict=True) if rows else ((),) * 5
    columns = {
        "page_number": numbers,
        "page_id": [page.page_id for page in pages],
        "revision": [page.revision for page in pages],
        "ns": spaces,
    }
    arrays = {name: numbers_column(column, TITLES.field(name).type) for name, column in columns.items()} | {
        "title": strings_column([page.title for page in pages]),
        "redirect": strings_column([page.redirect for page in pages]),
        "fate": strings_column(fates),
        "infoboxes": _nest([page.infoboxes for page in texts], _infobox_column),
        "categories": _nest([page.categories for page in texts], strings_column),
    }
    return pa.Table.from_pydict(arrays, schema=TITLES)


def _nest(lists: Sequence[Sequence[_Item]], column_of: Callable[[list[_Item]], pa.Array]) -> pa.ListArray:
    """Return a column of lists, whose items `column_of` makes a column of."""
    ends = numbers_column([0, *accumulate(map(len, lists))], pa.int32())
    return pa.ListArray.from_arrays(ends, column_of(list(chain.from_iterable(lists))))


def _infobox_column(boxes: Sequence[Infobox]) -> pa.StructArray:
    templates = strings_column([box.template for box in boxes])
    parameters = _nest([box.parameters for box in boxes], _parameter_column)
    return pa.StructArray.from_arrays([templates, parameters], names=["template", "parameters"])


def _parameter_column(parameters: Sequence[tuple[str, str]]) -> pa.StructArray:
    columns = (strings_column([pair[place] for pair in parameters]) for place in (0, 1))
    return pa.StructArray.from_arrays([*columns], names=["name", "value"])
