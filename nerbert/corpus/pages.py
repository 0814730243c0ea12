"""Pass 1: pages in, untyped sentences with their links out, and a row for every page of the dump.

All later steps read these columns only: the dump is read once. Work travels in batches of pages whose borders depend
on the input alone, so any number of workers writes the same shards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from nerbert.corpus.dump import Dump
from nerbert.corpus.rows import PageReport, PageRows
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TITLES, UNTYPED, ShardWriter
from nerbert.corpus.sites import Site
from nerbert.records import RawPage
from nerbert.show import Progress
from nerbert.work import run_ordered

_BATCH_PAGES, _BATCH_CHARACTERS = 200, 2_000_000


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pages to clean, with their places in the input."""

    site: Site
    settings: CorpusSettings
    first: int
    pages: list[RawPage]


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
    rows = PageRows(batch.site, batch.settings)
    for number, page in enumerate(batch.pages, batch.first):
        rows.add(page, number)
    return *rows.take(), rows.report
