"""The map-only steps over a corpus's parts: type, count, filter and sample, a few thousand sentences at a time.

Each step takes one part and returns counts that can be added, so workers do not change the result, and no part is too
large. Columns that a step does not change (text, words) stay in Arrow; only the filters' input becomes Python objects.
The cost: typed sentences are read three more times, for the counts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import ne
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.balance import Rates, draw_copies
from nerbert.corpus.filters import common_and_untyped, excluded, fold_rare, no_typed_entity
from nerbert.corpus.histogram import Histogram
from nerbert.corpus.manifest import Funnel, Samples
from nerbert.corpus.mentions import PartTargets, categories_of, recategorised, with_columns
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, read_batches, write_grouped
from nerbert.corpus.split import sentence_key, side_of, write_keys
from nerbert.corpus.types import read_targets
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY, TRAIN, VALIDATION, Reason
from nerbert.rng import uniform


@dataclass(frozen=True, slots=True)
class Typing:
    """The inputs of typing: the settings, the label set, and the word n-grams to exclude."""

    settings: CorpusSettings
    label_set: LabelSet
    forbidden: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """The filters' inputs from the whole train split; None for what is not counted yet.

    `duplicates` are the keys of sentences in both splits. `typed` is false for a label set without distinct types,
    for which no filter can judge sentences by their types.
    """

    settings: CorpusSettings
    typed: bool
    duplicates: frozenset[int]
    kept: frozenset[str]
    common: frozenset[str] | None = None
    rates: Rates | None = None

    @property
    def categories(self) -> frozenset[str]:
        """The categories that remain after filter 1."""
        return self.kept | {ENTITY}


@dataclass(slots=True)
class Typed:
    """Counts of typing one part.

    `to_ancestor` are mentions, by class, with a listed ancestor's label; `to_entity` those without a label in the label
    set.
    """

    samples: Samples
    came: int = 0
    mentions: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)
    to_ancestor: Counter[str] = field(default_factory=Counter)
    to_entity: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Judged:
    """Counts of filtering one part; in kept sentences, `folded` mentions became ENTITY by filter 1."""

    samples: Samples
    came: int = 0
    folded: int = 0
    dropped: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    counts: Funnel = field(default_factory=Funnel)


def type_part(path: Path, folder: Path, typing: Typing) -> Typed:
    """Write a part of `typed/` from one of `pages/`, and the keys of its sentences to `keys/SIDE/`."""
    done, targets = Typed(Samples(typing.settings.seed)), PartTargets(read_targets(folder, path), typing.label_set)
    keys: dict[str, set[int]] = {TRAIN: set(), VALIDATION: set()}
    write_grouped((_typed(batch, targets, typing, done, keys) for batch in read_batches(path)),
                  folder / "typed" / path.name, TYPED)  # fmt: skip
    for side, some in keys.items():
        write_keys(some, folder / "keys" / side / f"{path.stem}.npy")
    done.mentions, done.to_ancestor, done.to_entity = targets.counts()
    return done


def _typed(
    batch: pa.RecordBatch, targets: PartTargets, typing: Typing, done: Typed, keys: dict[str, set[int]]
) -> pa.Table:
    """Return the sentences of a batch that have links and no excluded text, with their links typed."""
    kept = batch.filter(pa.array(_linked(batch, typing, done), pa.bool_()))
    names = ("wiki", "page_id", "revision", "start", "text")
    rows = list(zip(*(kept[name].to_pylist() for name in names), strict=True))
    sides = [side_of(row[0], row[1], row[2], row[3], typing.settings) for row in rows]
    for side, row in zip(sides, rows, strict=True):
        keys[side].add(sentence_key(row[4]))
    mentions = targets.mentions(kept["links"], [side == TRAIN for side in sides])
    return with_columns(kept, mentions=mentions, split=sides, copies=[1] * len(rows), expected_copies=[1.0] * len(rows))


def _linked(batch: pa.RecordBatch, typing: Typing, done: Typed) -> list[bool]:
    """Return which sentences of a batch are kept; count the others."""
    texts, linked = batch["text"].to_pylist(), pc.list_value_length(batch["links"]).to_pylist()
    reasons = [
        excluded(text, typing.forbidden, typing.settings.exclude_ngram_size) or (None if links else Reason.NO_ENTITY)
        for text, links in zip(texts, linked, strict=True)
    ]
    done.came += len(texts)
    for identity, text, reason in zip(batch["id"].to_pylist(), texts, reasons, strict=True):
        if reason:
            done.dropped[reason] += 1
            done.samples.add("exclude" if reason is Reason.EXCLUDED_TEXT else "no link", reason, identity, text)
    return [reason is None for reason in reasons]


def count_part(path: Path, rules: Rules) -> Histogram:
    """Count how often each multiset of categories passes the rules in the train split."""
    passed = Histogram(rules.categories)
    for batch in read_batches(path, ["id", "split", "mentions.list.element.category"]):
        for row in batch.to_pylist():
            if row["split"] == TRAIN:
                categories, _, reason = judge(row["id"], [m["category"] for m in row["mentions"]], rules)
                if reason is None:
                    passed.add(categories)
    return passed


def judge(identity: str, categories: Sequence[str], rules: Rules) -> tuple[list[str], str, Reason | None]:
    """Return a sentence's categories after filter 1, and the filter and reason that drop it, if any."""
    settings = rules.settings
    folded = fold_rare(categories, rules.kept)
    if settings.rare_category == "drop" and folded != list(categories):
        return folded, "filter 1", Reason.RARE_CATEGORY
    reason = no_typed_entity(folded, keep_untyped=settings.keep_untyped or not rules.typed)
    if reason or rules.common is None or not rules.typed:
        return folded, "filter 2", reason
    chance = uniform(settings.seed, "filter 3", identity)
    return folded, "filter 3", common_and_untyped(folded, rules.common, chance)


def write_part(path: Path, rules: Rules, output: Path) -> Judged:
    """Write a part of `sentences/` from one of `typed/`."""
    done = Judged(Samples(rules.settings.seed))
    write_grouped((_judged(batch, rules, done) for batch in read_batches(path)), output / path.name, TYPED)
    return done


def _judged(batch: pa.RecordBatch, rules: Rules, done: Judged) -> pa.Table:
    """Return the sentences of a batch that pass all filters, with their final categories and numbers of copies."""
    ids, sides, texts = (batch[name].to_pylist() for name in ("id", "split", "text"))
    stay, categories, drawn = list[bool](), list[list[str]](), list[tuple[float, int]]()
    for identity, side, text, old in zip(ids, sides, texts, categories_of(batch["mentions"]), strict=True):
        new, step, reason = _verdict(identity, side, text, old, rules)
        stay.append(reason is None)
        if reason:
            done.dropped[step, reason] += 1
            done.samples.add(step, reason, identity, text)
        else:
            done.folded += sum(map(ne, old, new))
            categories.append(new)
            drawn.append(_copies(identity, side, new, rules))
    done.came += len(ids)
    kept = batch.filter(pa.array(stay, pa.bool_()))
    final = with_columns(
        kept, mentions=recategorised(kept["mentions"], categories),
        expected_copies=[expected for expected, _ in drawn], copies=[copies for _, copies in drawn],
    )  # fmt: skip
    done.counts.count(final)
    return final


def _verdict(
    identity: str, split: str, text: str, categories: Sequence[str], rules: Rules
) -> tuple[list[str], str, Reason | None]:
    """Return the result of `judge`, but drop validation sentences that also occur in the train split."""
    folded, step, reason = judge(identity, categories, rules)
    if split == VALIDATION and rules.duplicates and sentence_key(text) in rules.duplicates:
        return folded, "split", Reason.EQUAL_IN_TRAIN
    return folded, step, reason


def _copies(identity: str, split: str, categories: Sequence[str], rules: Rules) -> tuple[float, int]:
    """Return a sentence's expected and drawn copies; validation is not sampled."""
    if split != TRAIN or not rules.rates:
        return 1.0, 1
    expected = rules.rates.expected(categories)
    return expected, draw_copies(expected, uniform(rules.settings.seed, "copies", identity))
