"""The corpus as pre-training sees it: its own categories, or those of another label set on the same sentences.

The choice: the corpus keeps whole class paths, so `4types`, `212types` or `1type` are read off them here; sentences,
splits and copies stay those that the corpus's own set decided (NER-BERT §3 compares label sets on the same data).
Filter 1 holds for the other set too: a label with too few mentions in the train part is ENTITY. The price: sentences
whose only typed mention that set calls ENTITY stay in.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nerbert.chance import coin
from nerbert.corpus.balance import draw_copies
from nerbert.corpus.filters import fold_rare, frequent_categories
from nerbert.corpus.shards import read_sentences
from nerbert.corpus.sides import TRAIN, VALIDATION
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.records import ENTITY, Sentence


@dataclass(frozen=True, slots=True)
class Silver:
    """Sentences of both splits, and the categories that their mentions have, ENTITY among them.

    `label_set` is told in the encoder's card: the set's name and digest, and how many typed mentions of the train part
    it has no label for, or too few of.
    """

    label_set: dict[str, str | int]
    categories: tuple[str, ...]
    training: list[Sentence]
    validation: list[Sentence]


def read_silver(manifest: Mapping[str, Any], settings: PretrainSettings) -> Silver:
    """The corpus under `settings.label_set`; of training sentences those that can have copies."""
    train, validation = (list(read_sentences(settings.corpus, side)) for side in (TRAIN, VALIDATION))
    told, categories = _told(manifest["label_set"]), tuple(manifest["categories"])
    if settings.label_set:
        some = open_label_set(settings.label_set)
        if some.digest != told["sha256"]:
            kept = _frequent(train, some, int(manifest["settings"]["min_mentions"]))
            categories = tuple(sorted(kept | {ENTITY}))
            train, validation = ([_relabelled(each, some, kept) for each in side] for side in (train, validation))
            told = {"name": some.name, "sha256": some.digest}
    mentions = [mention for each in train for mention in each.mentions if mention.class_path]
    told |= {"typed_mentions": len(mentions), "made_entity": sum(each.category == ENTITY for each in mentions)}
    drawn = [each for each in train if (each.expected_copies if settings.redraw_copies else each.copies)]
    return Silver(told, categories, drawn, _held_out(validation, settings))


def _told(label_set: Mapping[str, Any]) -> dict[str, str | int]:
    return {"name": label_set["name"], "sha256": label_set["sha256"]}


def copies_of(sentence: Sentence, settings: PretrainSettings, epoch: int) -> int:
    """How often a sentence is seen in an epoch: as the corpus drew it, or drawn anew."""
    if not settings.redraw_copies:
        return sentence.copies
    return draw_copies(sentence.expected_copies, coin(settings.seed, f"copies of epoch {epoch}", sentence.id))


def _frequent(train: Sequence[Sentence], some: LabelSet, at_least: int) -> frozenset[str]:
    """Filter 1 (NER-BERT §2.2) under another label set: its labels with enough mentions in the train part."""
    counts = Counter(some.label(mention.class_path) for each in train for mention in each.mentions)
    kept = frequent_categories(counts, at_least)
    if some.typed and not kept:
        raise InputError(
            f"label_set = {some.name!r}: no label of it has {at_least} mentions in the corpus; does it name "
            f"classes as the corpus does, {', '.join(_some_classes(train))}?"
        )
    return kept


def _some_classes(train: Sequence[Sentence]) -> list[str]:
    """The most frequent classes."""
    counts = Counter(mention.class_path[-1] for each in train for mention in each.mentions if mention.class_path)
    return [name for name, _ in counts.most_common(5)]


def _relabelled(sentence: Sentence, some: LabelSet, kept: frozenset[str]) -> Sentence:
    categories = fold_rare((some.label(mention.class_path) for mention in sentence.mentions), kept)
    pairs = zip(sentence.mentions, categories, strict=True)
    return replace(sentence, mentions=tuple(replace(mention, category=category) for mention, category in pairs))


def _held_out(validation: list[Sentence], settings: PretrainSettings) -> list[Sentence]:
    """The validation split, or a part of it drawn by seed."""
    if not validation:
        raise InputError(f"{settings.corpus}: its validation split is empty; build it with a larger validation_share")
    found = sorted(validation, key=lambda each: coin(settings.seed, "validation part", each.id))
    return found[: settings.evaluate_at_most or None]
