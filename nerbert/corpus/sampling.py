"""The last step: how many copies of each train sentence the corpus has (NER-BERT §2.2); the method is in `balance`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.balance import Multiset, Rates, draw, draw_copies
from nerbert.corpus.filters import RareCategories
from nerbert.corpus.mentions import CATEGORIES, categories_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.steps import Upstream
from nerbert.errors import NerbertError, SettingsError
from nerbert.records import ENTITY, TRAIN
from nerbert.rng import uniform

_MOST_COPIES = (1 << 31) - 1
"""What the column `copies` holds."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Draws the copies of train sentences; validation is not sampled."""

    settings: CorpusSettings
    rates: Rates | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's entry: what both methods expect, and which one drew."""
    name = ""

    def prepare(self, upstream: Upstream) -> "Sampling":
        """Count the train part's sets of categories, and compute rates; raise NerbertError if nothing is left."""
        settings, rare = self.settings, upstream.find(RareCategories)
        counts = Counter[Multiset]()
        for part in upstream.map(_count_sets, (CATEGORIES, "split")):
            counts.update(part)
        if not counts:
            raise NerbertError(f"the corpus would be empty: {_why_empty(rare.counts, settings)}")
        draws = {
            method: draw(
                counts, method=method, alpha=settings.alpha, total=settings.sample_size, cap=settings.max_copies
            )
            for method in ("literal", "fit")
        }
        rates = draws[settings.balance]
        if rates.largest >= _MOST_COPIES:
            raise SettingsError(
                f"sample_size = {settings.sample_size}: a sentence would get {rates.largest:.3g} copies; take less"
            )
        report = {name: _without_weights(each) for name, each in draws.items()} | {"method": settings.balance}
        return replace(self, rates=rates, report=report)

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Set `expected_copies` and `copies`."""
        ids, sides = rows["id"].to_pylist(), rows["split"].to_pylist()
        triples = zip(ids, sides, categories_of(rows["mentions"]), strict=True)
        drawn = [self._copies(identity, categories) if side == TRAIN else (1.0, 1)
                 for identity, side, categories in triples]  # fmt: skip
        for name, values in zip(("expected_copies", "copies"), zip(*drawn, strict=True), strict=False):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, name, pa.array(values, rows.schema.field(place).type))
        return rows, ()

    def _copies(self, identity: str, categories: Sequence[str]) -> tuple[float, int]:
        expected = self.rates.expected(categories) if self.rates else 1.0
        return expected, draw_copies(expected, uniform(self.settings.seed, "copies", identity))


def _count_sets(_: Path, batches: Iterator[pa.RecordBatch]) -> Counter[Multiset]:
    """Return how many train sentences of a part have each multiset of categories."""
    counts, names = Counter[Multiset](), dict[str, str]()
    for rows in batches:
        for categories in categories_of(rows.filter(pc.equal(rows["split"], TRAIN))["mentions"]):
            counts[tuple(sorted(names.setdefault(name, name) for name in categories))] += 1
    return counts


def _without_weights(rates: Rates) -> dict[str, Any]:
    return {name: value for name, value in asdict(rates).items() if name not in ("weights", "method")}


def _why_empty(mentions: Counter[str], settings: CorpusSettings) -> str:
    """Return what is missing, and the remedy."""
    typed = Counter({name: count for name, count in mentions.items() if name != ENTITY})
    if not mentions:
        own = f"; {', '.join(settings.extra_steps)} may drop them all" if settings.extra_steps else ""
        return (
            f"no sentence of the train part holds a link; give a larger dump, or a smaller --set validation_ratio{own}"
        )
    if not typed:
        return ("no link leads to a title that the knowledge types; give title tables or infobox mappings for this "
                "wiki's titles (--knowledge)")  # fmt: skip
    name, count = typed.most_common(1)[0]
    return (f"the most frequent category, {name}, has {count} mentions; take a smaller --set "
            f"min_mentions={settings.min_mentions}, or give more knowledge or a larger dump")  # fmt: skip
