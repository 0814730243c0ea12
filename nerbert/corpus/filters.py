"""The steps that drop or sample sentences, with the paper's three filters (NER-BERT §2.3) and its sampling (§2.4).

Counts and rankings use only the train split, so that validation has no influence.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.balance import Multiset, Rates, draw, draw_copies
from nerbert.corpus.mentions import (
    CATEGORIES,
    MADE_ENTITY,
    categories_of,
    count_by_sentence,
    flat_categories,
    replace_categories,
)
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.steps import Upstream
from nerbert.data.exclude import ngrams, normalised_words
from nerbert.errors import NerbertError, SettingsError
from nerbert.label_sets import frequent_categories
from nerbert.records import ENTITY, TRAIN, VALIDATION, Reason
from nerbert.rng import hash64, uniform

_DROPPED = (0.0, 0.0, 0.0, 0.3, 0.5, 0.7)
"""Filter 3: the probability of dropping a sentence with 0, 1, … 5 or more ENTITY mentions (NER-BERT §2.3)."""

_MOST_COPIES = (1 << 31) - 1
"""Maximum value of the column `copies`."""

Verdict = tuple[pa.RecordBatch, Sequence[Reason | None]]


@dataclass(frozen=True, slots=True)
class WithoutLink:
    """Drop sentences without a link."""

    name = "no link"

    def apply(self, rows: pa.RecordBatch) -> Verdict:
        """Check the links of pass 1."""
        return rows, [None if links else Reason.NO_ENTITY for links in pc.list_value_length(rows["links"]).to_pylist()]


@dataclass(frozen=True, slots=True)
class ExcludedTexts:
    """Drop sentences that share a run of words with the texts to exclude, or equal a short one."""

    ngrams: frozenset[str]
    length: int
    name = "exclude"

    def apply(self, rows: pa.RecordBatch) -> Verdict:
        """Compare the words of each sentence, if there are texts to exclude."""
        if not self.ngrams:
            return rows, ()
        shared = (not ngrams(text, self.length).isdisjoint(self.ngrams) for text in rows["text"].to_pylist())
        return rows, [Reason.EXCLUDED_TEXT if flag else None for flag in shared]


@dataclass(frozen=True, slots=True)
class EqualInTrain:
    """Drop validation sentences with the same normalised words as a train sentence, by 64-bit keys."""

    keys: frozenset[int] = frozenset()
    name = "split"
    columns = ("split", "text")

    def prepare(self, upstream: Upstream) -> "EqualInTrain":
        """Write the keys of both splits, part by part, and compare them."""
        folder = upstream.folder.with_name("keys")
        for side in (TRAIN, VALIDATION):
            (folder / side).mkdir(parents=True)
        for _ in upstream.map(partial(_write_keys, folder=folder), self.columns):
            pass
        keys = [np.load(path, allow_pickle=False) for path in sorted((folder / VALIDATION).iterdir())]
        # Only these keys are kept in memory, 8 bytes each; those of train are read part by part
        held = np.unique(np.concatenate(keys or [np.zeros(0)]))
        shared = np.zeros(len(held), bool)
        for path in sorted((folder / TRAIN).iterdir()):
            shared |= np.isin(held, np.load(path, allow_pickle=False))
        rmtree(folder)
        return EqualInTrain(frozenset(held[shared].tolist()))

    def apply(self, rows: pa.RecordBatch) -> Verdict:
        """Look up the keys of validation sentences."""
        if not self.keys:
            return rows, ()
        held_out = pc.equal(rows["split"], VALIDATION)
        equal = np.zeros(rows.num_rows, bool)
        equal[held_out] = [sentence_key(text) in self.keys for text in rows["text"].filter(held_out).to_pylist()]
        return rows, [Reason.EQUAL_IN_TRAIN if flag else None for flag in equal.tolist()]


def _write_keys(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> None:
    keys: dict[str, set[int]] = {TRAIN: set(), VALIDATION: set()}
    for rows in batches:
        for side, text in zip(rows["split"].to_pylist(), rows["text"].to_pylist(), strict=True):
            keys[side].add(sentence_key(text))
    for side, hashes in keys.items():
        np.save(folder / side / f"{part.stem}.npy", np.unique(np.fromiter(hashes, np.uint64)))


def sentence_key(text: str) -> int:
    """Hash a sentence's normalised words to 64 bits; sentences with the same key are duplicates."""
    return hash64(" ".join(normalised_words(text)))


@dataclass(frozen=True, slots=True)
class RareCategories:
    """Filter 1: rare categories become ENTITY (NER-BERT §2.3 drops them, which is ambiguous)."""

    settings: CorpusSettings
    counts: Counter[str] = field(default_factory=Counter)
    kept: frozenset[str] = frozenset()
    name = "filter 1"
    columns = (CATEGORIES,)

    def prepare(self, upstream: Upstream) -> "RareCategories":
        """Keep the categories that are frequent in the train split."""
        counts = train_mentions(upstream)
        return replace(self, counts=counts, kept=frequent_categories(counts, self.settings.min_mentions))

    def apply(self, rows: pa.RecordBatch) -> Verdict:
        """Replace rare categories by ENTITY, or drop their sentences, according to the setting `rare_category`."""
        flat, lengths = flat_categories(rows)
        # ENTITY is never rare: it is what a rare category becomes
        stays = pc.is_in(flat, pa.array(sorted({*self.kept, ENTITY})))
        rare = count_by_sentence(pc.invert(stays), lengths)
        mentions = replace_categories(rows["mentions"], pc.if_else(stays, flat, ENTITY))
        rows = rows.set_column(rows.schema.get_field_index("mentions"), "mentions", mentions)
        drops = self.settings.rare_category == "drop"
        reasons = [Reason.RARE_CATEGORY if count else None for count in rare.tolist()] if drops else ()
        return rows.append_column(MADE_ENTITY, pa.array(rare)), reasons


def train_mentions(upstream: Upstream) -> Counter[str]:
    """Count mentions by category in the train split."""
    return sum(upstream.map(_count_mentions, (CATEGORIES, "split")), Counter[str]())


def _count_mentions(_: Path, batches: Iterator[pa.RecordBatch]) -> Counter[str]:
    counts = Counter[str]()
    for rows in batches:
        flat, _lengths = flat_categories(rows.filter(pc.equal(rows["split"], TRAIN)))
        counted = pc.value_counts(flat)
        counts.update(dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)))
    return counts


@dataclass(frozen=True, slots=True)
class OnlyUntyped:
    """Filter 2: drop sentences without mentions, and, unless `keep_untyped`, with only ENTITY (NER-BERT §2.3)."""

    keep_untyped: bool
    name = "filter 2"
    columns = (CATEGORIES,)

    def apply(self, rows: pa.RecordBatch) -> Verdict:
        """Count the mentions and the typed mentions of each sentence."""
        flat, lengths = flat_categories(rows)
        typed = count_by_sentence(pc.not_equal(flat, ENTITY), lengths)
        untyped = None if self.keep_untyped else Reason.ONLY_UNTYPED
        pairs = zip(lengths.tolist(), typed.tolist(), strict=True)
        return rows, [(None if types else untyped) if count else Reason.NO_ENTITY for count, types in pairs]


@dataclass(frozen=True, slots=True)
class CommonCategories:
    """Filter 3: drop some sentences with only common categories and many ENTITY mentions (NER-BERT §2.3)."""

    settings: CorpusSettings
    typed: bool
    """True if the label set has types; otherwise the filter is off."""
    common: frozenset[str] = frozenset()
    name = "filter 3"
    columns = (CATEGORIES, "id")

    def prepare(self, upstream: Upstream) -> "CommonCategories":
        """Rank the categories of the train split."""
        ranked = most_common(train_mentions(upstream), self.settings.common_categories) if self.typed else frozenset()
        return replace(self, common=ranked)

    def apply(self, rows: pa.RecordBatch) -> Verdict:
        """Draw a random number for each sentence with only common categories and many ENTITY mentions."""
        if not self.common:
            return rows, ()
        flat, lengths = flat_categories(rows)
        common = count_by_sentence(pc.is_in(flat, pa.array(sorted(self.common))), lengths)
        untyped = count_by_sentence(pc.equal(flat, ENTITY), lengths)
        # A sentence with any other category is kept whatever its ENTITY mentions
        untyped[common < lengths] = 0
        chances = (_DROPPED[count] for count in untyped.clip(max=len(_DROPPED) - 1).tolist())
        dropped = (
            # Most chances are 0 and need no random number
            chance > 0 and uniform(self.settings.seed, "filter 3", identity) < chance
            for identity, chance in zip(rows["id"].to_pylist(), chances, strict=True)
        )
        return rows, [Reason.COMMON_AND_UNTYPED if drop else None for drop in dropped]


def most_common(counts: Mapping[str, int], number: int) -> frozenset[str]:
    """Return the `number` most frequent categories, ties by name, always with ENTITY, for filter 3 (NER-BERT §2.3)."""
    # ENTITY always counts as one of the common categories
    ranked = sorted(counts, key=lambda name: (name != ENTITY, -counts[name], name))
    return frozenset(ranked[:number])


@dataclass(frozen=True, slots=True)
class Sampling:
    """Draw the copies of train sentences; validation is not sampled."""

    settings: CorpusSettings
    rates: Rates | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's entry: the expectations of both methods, and the method used."""
    name = ""

    def prepare(self, upstream: Upstream) -> "Sampling":
        """Count the train split's multisets of categories, and compute rates; raise NerbertError if none is left."""
        settings = self.settings
        rare = upstream.find(RareCategories)
        counts = Counter[Multiset]()
        for part in upstream.map(_count_sets, (CATEGORIES, "split")):
            counts.update(part)
        if not counts:
            # Name the step that left nothing, since the cause is usually a setting or missing knowledge
            raise NerbertError(f"the corpus would be empty: {_why_empty(rare.counts, settings)}")
        draws = {
            # Both methods are reported, whichever is used, so that they can be compared
            name: draw(counts, method=name, alpha=settings.alpha, total=settings.sample_size)
            for name in ("literal", "fit")
        }
        rates = draws[settings.balance]
        # The column `copies` has 32 bits
        if rates.largest >= _MOST_COPIES:
            raise SettingsError(
                f"sample_size = {settings.sample_size}: a sentence would get {rates.largest:.3g} copies; choose less"
            )
        report: dict[str, Any] = {name: asdict(drawn) for name, drawn in draws.items()}
        for entry in report.values():
            del entry["weights"], entry["method"]
        return replace(self, rates=rates, report=report | {"method": settings.balance})

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Set `expected_copies` and `copies`."""
        ids = rows["id"].to_pylist()
        sides = rows["split"].to_pylist()
        triples = zip(ids, sides, categories_of(rows["mentions"]), strict=True)
        drawn = [
            self._draw_copies(identity, categories) if side == TRAIN else (1.0, 1)
            for identity, side, categories in triples
        ]
        # Not strict: `drawn` is empty for a batch without rows, and then there is nothing to set
        for name, values in zip(("expected_copies", "copies"), zip(*drawn, strict=True), strict=False):
            index = rows.schema.get_field_index(name)
            rows = rows.set_column(index, name, pa.array(values, rows.schema.field(index).type))
        return rows, ()

    def _draw_copies(self, identity: str, categories: Sequence[str]) -> tuple[float, int]:
        expected = self.rates.expect_copies(categories) if self.rates else 1.0
        return expected, draw_copies(expected, uniform(self.settings.seed, "copies", identity))


def _count_sets(_: Path, batches: Iterator[pa.RecordBatch]) -> Counter[Multiset]:
    """Count the train sentences of a part by their multiset of categories."""
    counts = Counter[Multiset]()
    # Arrow gives a new string for each mention; one object per name saves memory
    names = dict[str, str]()
    for rows in batches:
        for categories in categories_of(rows.filter(pc.equal(rows["split"], TRAIN))["mentions"]):
            counts[tuple(sorted(names.setdefault(name, name) for name in categories))] += 1
    return counts


def _why_empty(mentions: Counter[str], settings: CorpusSettings) -> str:
    typed = Counter({name: count for name, count in mentions.items() if name != ENTITY})
    if not mentions:
        # The cause depends on how far the mentions came: no link, no type, or too few of each type
        steps = f"; {', '.join(settings.own_steps)} may drop them all" if settings.own_steps else ""
        smaller = ", or a smaller --set validation_ratio" if settings.validation_ratio else ""
        return f"no sentence of the train part has a link; give a larger dump{smaller}{steps}"
    if not typed:
        return (
            "no link leads to a title that the knowledge types; give title tables or infobox mappings for this "
            "wiki's titles (--knowledge)"
        )
    name, count = typed.most_common(1)[0]
    return (
        f"the most frequent category, {name}, has {count} mentions; take a smaller --set "
        f"min_mentions={settings.min_mentions}, or give more knowledge or a larger dump"
    )
