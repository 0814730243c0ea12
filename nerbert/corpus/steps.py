"""The map-only steps over a corpus's parts: typing, counting, judging and drawing, a few thousand sentences at a time.

Each takes one part and gives counts that add up, so workers change nothing, and no part's size is a limit. The price:
typed sentences are read three more times, for the counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from nerbert.chance import coin
from nerbert.corpus.balance import Rates, draw_copies
from nerbert.corpus.filters import common_and_untyped, excluded, fold_rare, no_typed_entity
from nerbert.corpus.histogram import Histogram
from nerbert.corpus.manifest import Funnel, Samples
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, typed_rows, typed_sentences
from nerbert.corpus.sides import TRAIN, VALIDATION, sentence_key, side_of, write_keys
from nerbert.corpus.tables import read_batches, writing
from nerbert.corpus.types import Targets, read_targets, type_link
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY, Reason, Sentence

_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Typing:
    """What typing needs to know: the settings, the label set, and the runs of words that are excluded."""

    settings: CorpusSettings
    label_set: LabelSet
    forbidden: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the filters need to know of the whole train part; None for what is not counted yet.

    `twins` are the keys of sentences that stand on both sides of the split; `typed` is false for a label set that tells
    no types apart, whose sentences no filter can judge by them.
    """

    settings: CorpusSettings
    typed: bool
    twins: frozenset[int]
    kept: frozenset[str]
    common: frozenset[str] | None = None
    rates: Rates | None = None

    @property
    def categories(self) -> frozenset[str]:
        """The categories that are left after filter 1."""
        return self.kept | {ENTITY}


@dataclass(slots=True)
class Typed:
    """What typing one part counted.

    `to_ancestor` are mentions, by class, that have a listed ancestor's label; `to_entity` those that the label set has
    no label for.
    """

    samples: Samples
    came: int = 0
    mentions: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)
    to_ancestor: Counter[str] = field(default_factory=Counter)
    to_entity: Counter[str] = field(default_factory=Counter)
    keys: dict[str, set[int]] = field(default_factory=lambda: {TRAIN: set(), VALIDATION: set()})


@dataclass(slots=True)
class Judged:
    """What judging one part counted; `folded` mentions of sentences that are kept became ENTITY by filter 1."""

    samples: Samples
    came: int = 0
    folded: int = 0
    dropped: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    counts: Funnel = field(default_factory=Funnel)


def type_part(path: Path, folder: Path, typing: Typing) -> Typed:
    """Write a part of `typed/` from one of `pages/`, and beside it the keys of its sentences, `keys/SIDE/`."""
    done = Typed(Samples(typing.settings.seed))
    targets = read_targets(folder, path)
    _write(_typed(path, targets, typing, done), folder / "typed" / path.name)
    for side, keys in done.keys.items():
        write_keys(keys, folder / "keys" / side / f"{path.stem}.npy")
    done.keys.clear()
    return done


def _typed(path: Path, targets: Targets, typing: Typing, done: Typed) -> Iterator[Sentence]:
    for batch in read_batches(path):
        for row in batch.to_pylist():
            done.came += 1
            reason = excluded(row["text"], typing.forbidden, typing.settings.exclude_ngram)
            reason = reason or (None if row["links"] else Reason.NO_ENTITY)
            if reason:
                done.dropped[reason] += 1
                step = "exclude" if reason is Reason.EXCLUDED_TEXT else "no link"
                done.samples.add(step, reason, row["id"], row["text"])
                continue
            sentence = _sentence(row, targets, typing)
            _count_typed(sentence, typing.label_set, done)
            yield sentence


def _sentence(row: dict[str, Any], targets: Targets, typing: Typing) -> Sentence:
    mentions = tuple(type_link(link, targets, typing.label_set) for link in row["links"])
    side = side_of(row["wiki"], row["page_id"], row["revision"], row["start"], typing.settings)
    return Sentence(
        wiki=row["wiki"], page_id=row["page_id"], revision=row["revision"], title=row["title"], start=row["start"],
        text=row["text"], words=tuple((word["start"], word["end"]) for word in row["words"]), mentions=mentions,
        split=side,
    )  # fmt: skip


def _count_typed(sentence: Sentence, label_set: LabelSet, done: Typed) -> None:
    done.keys[sentence.split].add(sentence_key(sentence.text))
    if sentence.split == TRAIN:
        done.mentions.update(mention.category for mention in sentence.mentions)
    for mention in sentence.mentions:
        if mention.class_path and mention.category == ENTITY:
            done.to_entity[mention.class_path[-1]] += 1
        elif mention.class_path and not label_set.lists(mention.class_path[-1]):
            done.to_ancestor[mention.class_path[-1]] += 1


def count_part(path: Path, rules: Rules) -> Histogram:
    """How often each multiset of categories passes the rules in the train part."""
    passed = Histogram(rules.categories)
    for batch in read_batches(path, ["id", "split", "mentions"]):
        for row in batch.to_pylist():
            if row["split"] == TRAIN:
                categories, _, reason = judge(row["id"], [m["category"] for m in row["mentions"]], rules)
                if reason is None:
                    passed.add(categories)
    return passed


def judge(identity: str, categories: Sequence[str], rules: Rules) -> tuple[list[str], str, Reason | None]:
    """A sentence's categories after filter 1, and the filter and reason that drop it, if any does."""
    settings = rules.settings
    folded = fold_rare(categories, rules.kept)
    if settings.rare_category == "drop" and folded != list(categories):
        return folded, "filter 1", Reason.RARE_CATEGORY
    reason = no_typed_entity(folded, keep_untyped=settings.keep_untyped or not rules.typed)
    if reason or rules.common is None or not rules.typed:
        return folded, "filter 2", reason
    chance = coin(settings.seed, "filter 3", identity)
    return folded, "filter 3", common_and_untyped(folded, rules.common, chance, settings)


def write_part(path: Path, rules: Rules, output: Path) -> Judged:
    """Write a part of `sentences/` from one of `typed/`."""
    done = Judged(Samples(rules.settings.seed))
    _write(_judged(path, rules, done), output / path.name)
    return done


def _judged(path: Path, rules: Rules, done: Judged) -> Iterator[Sentence]:
    for sentence in typed_sentences(path):
        done.came += 1
        categories, step, reason = judge(sentence.id, [m.category for m in sentence.mentions], rules)
        if sentence.split == VALIDATION and rules.twins and sentence_key(sentence.text) in rules.twins:
            step, reason = "split", Reason.EQUAL_IN_TRAIN
        if reason:
            done.dropped[step, reason] += 1
            done.samples.add(step, reason, sentence.id, sentence.text)
        else:
            done.folded += sum(m.category != c for m, c in zip(sentence.mentions, categories, strict=True))
            final = _final(sentence, categories, rules)
            done.counts.count_sentence(final)
            yield final


def _final(sentence: Sentence, categories: Sequence[str], rules: Rules) -> Sentence:
    """The sentence with the corpus's categories and its number of copies; validation is not sampled."""
    pairs = zip(sentence.mentions, categories, strict=True)
    mentions = tuple(replace(mention, category=category) for mention, category in pairs)
    expected, copies = 1.0, 1
    if sentence.split == TRAIN and rules.rates:
        expected = rules.rates.expected(categories)
        copies = draw_copies(expected, coin(rules.settings.seed, "copies", sentence.id))
    return replace(sentence, mentions=mentions, copies=copies, expected_copies=expected)


def _write(sentences: Iterable[Sentence], path: Path) -> None:
    sentences = iter(sentences)
    with writing(path, TYPED) as writer:
        while some := list(islice(sentences, _ROWS)):
            writer.add(typed_rows(some))
