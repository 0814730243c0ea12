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
from nerbert.corpus.balance import draw_copies, expected_copies
from nerbert.corpus.filters import common_and_untyped, count_categories, excluded, fold_rare, no_typed_entity
from nerbert.corpus.manifest import Funnel, Samples
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, typed_rows, typed_sentences
from nerbert.corpus.tables import read_batches, writing
from nerbert.corpus.types import Targets, read_targets, type_link
from nerbert.records import Reason, Sentence

TRAIN, VALIDATION = "train", "validation"
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What the filters need to know of the whole train part; None for what is not counted yet."""

    settings: CorpusSettings
    kept: frozenset[str]
    common: frozenset[str] | None = None
    rates: dict[str, float] | None = None


@dataclass(slots=True)
class Typed:
    """What typing one part counted."""

    samples: Samples
    came: int = 0
    mentions: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)


@dataclass(slots=True)
class Judged:
    """What judging one part counted; `folded` mentions became ENTITY."""

    samples: Samples
    came: int = 0
    folded: int = 0
    dropped: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    counts: Funnel = field(default_factory=Funnel)


def type_part(path: Path, folder: Path, settings: CorpusSettings, forbidden: frozenset[str]) -> Typed:
    """Write a part of `typed/` from one of `pages/`."""
    done = Typed(Samples(settings.seed))
    targets = read_targets(folder / "targets.parquet", path)
    _write(_typed(path, targets, settings, forbidden, done), folder / "typed" / path.name)
    return done


def _typed(
    path: Path, targets: Targets, settings: CorpusSettings, forbidden: frozenset[str], done: Typed
) -> Iterator[Sentence]:
    for batch in read_batches(path):
        for row in batch.to_pylist():
            done.came += 1
            reason = excluded(row["text"], forbidden, settings.exclude_ngram)
            reason = reason or (None if row["links"] else Reason.NO_ENTITY)
            if reason:
                done.dropped[reason] += 1
                step = "exclude" if reason is Reason.EXCLUDED_TEXT else "no link"
                done.samples.add(step, reason, row["id"], row["text"])
                continue
            sentence = _sentence(row, targets, settings)
            if sentence.split == TRAIN:
                done.mentions.update(mention.category for mention in sentence.mentions)
            yield sentence


def _sentence(row: dict[str, Any], targets: Targets, settings: CorpusSettings) -> Sentence:
    mentions = tuple(type_link(link, targets) for link in row["links"])
    validation = coin(settings.seed, "split", f"{row['wiki']}:{row['page_id']}") < settings.validation_share
    return Sentence(
        wiki=row["wiki"], page_id=row["page_id"], revision=row["revision"], title=row["title"], start=row["start"],
        text=row["text"], words=tuple((word["start"], word["end"]) for word in row["words"]), mentions=mentions,
        split=VALIDATION if validation else TRAIN,
    )  # fmt: skip


def count_part(path: Path, rules: Rules) -> tuple[Counter[str], Counter[str], int]:
    """Mentions by category, sentences that hold them, and sentences, of what passes the rules in the train part."""
    mentions, holding, sentences = Counter[str](), Counter[str](), 0
    for batch in read_batches(path, ["id", "split", "mentions"]):
        train = [row for row in batch.to_pylist() if row["split"] == TRAIN]
        judged = [judge(row["id"], [m["category"] for m in row["mentions"]], rules) for row in train]
        passed = [categories for categories, _, reason in judged if reason is None]
        some, others = count_categories(passed)
        mentions.update(some)
        holding.update(others)
        sentences += len(passed)
    return mentions, holding, sentences


def judge(identity: str, categories: Sequence[str], rules: Rules) -> tuple[list[str], str, Reason | None]:
    """A sentence's categories after filter 1, and the filter and reason that drop it, if any does."""
    settings = rules.settings
    folded = fold_rare(categories, rules.kept)
    if settings.rare_category == "drop" and folded != list(categories):
        return folded, "filter 1", Reason.RARE_CATEGORY
    reason = no_typed_entity(folded, keep_untyped=settings.keep_untyped)
    if reason or rules.common is None:
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
        done.folded += sum(m.category != c for m, c in zip(sentence.mentions, categories, strict=True))
        if reason:
            done.dropped[step, reason] += 1
            done.samples.add(step, reason, sentence.id, sentence.text)
        else:
            final = _final(sentence, categories, rules)
            done.counts.count_sentence(final)
            yield final


def _final(sentence: Sentence, categories: Sequence[str], rules: Rules) -> Sentence:
    """The sentence with the corpus's categories and its number of copies; validation is not sampled."""
    pairs = zip(sentence.mentions, categories, strict=True)
    mentions = tuple(replace(mention, category=category) for mention, category in pairs)
    copies = 1
    if sentence.split == TRAIN:
        expected = expected_copies(categories, rules.rates or {})
        copies = draw_copies(expected, coin(rules.settings.seed, "copies", sentence.id))
    return replace(sentence, mentions=mentions, copies=copies)


def _write(sentences: Iterable[Sentence], path: Path) -> None:
    sentences = iter(sentences)
    with writing(path, TYPED) as writer:
        while some := list(islice(sentences, _ROWS)):
            writer.add(typed_rows(some))
