"""Corpus steps of the tests' own."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.steps import Upstream

FEWEST_WORDS, FEWEST_SENTENCES = 12, 14


class ShortSentences:
    """Drops sentences of few words, and writes the titles of the others in capitals."""

    name = "length"

    def __init__(self, settings: CorpusSettings) -> None:
        self.seed = settings.seed

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, list[str | None]]:
        words = pc.list_value_length(rows["words"]).to_pylist()
        rows = rows.set_column(rows.schema.get_field_index("title"), "title", pc.utf8_upper(rows["title"]))
        return rows, ["too_short" if count < FEWEST_WORDS else None for count in words]


@dataclass
class SmallPages:
    """Drops the sentences of pages that have few of them left: it has to count all pages first."""

    settings: CorpusSettings
    pages: Counter[int] = field(default_factory=Counter)
    name = "pages' sizes"

    def prepare(self, upstream: Upstream) -> "SmallPages":
        return replace(self, pages=sum(upstream.map(count_pages, ["page_id"]), Counter[int]()))

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, list[str | None]]:
        counts = [self.pages[page] for page in rows["page_id"].to_pylist()]
        return rows, ["small_page" if count < FEWEST_SENTENCES else None for count in counts]


def count_pages(part: Path, batches: Iterator[pa.RecordBatch]) -> Counter[int]:
    return Counter(page for rows in batches for page in rows["page_id"].to_pylist())


class _Wrong:
    name = "wrong"

    def __init__(self, settings: CorpusSettings) -> None:
        self.settings = settings


def _wrong(**methods: Callable[..., object]) -> type[_Wrong]:
    """Return a step with these methods."""
    return type("Wrong", (_Wrong,), methods)


def _without_titles(_: object, rows: pa.RecordBatch) -> object:
    place = rows.schema.get_field_index("title")
    return rows.set_column(place, "title", pa.nulls(rows.num_rows, pa.string())), ()


def _relinked(_: object, rows: pa.RecordBatch) -> object:
    place = rows.schema.get_field_index("links")
    links = [[link | {"target": "Nowhere"} for link in each] for each in rows["links"].to_pylist()]
    return rows.set_column(place, rows.schema.field(place), pa.array(links, rows.schema.field(place).type)), ()


FiltersItself = _wrong(apply=lambda _, rows: (rows.slice(1), ()))
SaysTrue = _wrong(apply=lambda _, rows: (rows, [True] * rows.num_rows))
LosesAColumn = _wrong(apply=lambda _, rows: (rows.drop_columns(["title"]), ()))
ReturnsRowsAlone = _wrong(apply=lambda _, rows: rows)
ReturnsNone = _wrong(apply=lambda _, rows: (rows, None))
PreparesNothing = _wrong(prepare=lambda *_: None)
ForgetsTitles, Relinks, NoStep = _wrong(apply=_without_titles), _wrong(apply=_relinked), _wrong()


class TakesAName(LosesAColumn):  # type: ignore[valid-type,misc]
    name = "filter 2"
