"""The paper's three filters (NER-BERT §2.2) and the exclusion of test texts, each a pure function of one sentence.

Counts and rankings that they need are made by `build` on the train part alone, so that validation decides nothing.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from nerbert.records import ENTITY, Reason

_WORD = re.compile(r"\w+")
_DROPPED = (0.0, 0.0, 0.0, 0.3, 0.5, 0.7)
"""Filter 3: the probability of dropping a sentence with 0, 1, … 5 or more ENTITY mentions (NER-BERT §2.2)."""


def fold_rare(categories: Iterable[str], kept: Collection[str]) -> list[str]:
    """Filter 1: categories outside `kept` become ENTITY (NER-BERT §2.2 drops them, which can be read both ways)."""
    return [category if category in kept else ENTITY for category in categories]


def no_typed_entity(categories: Collection[str], *, keep_untyped: bool) -> Reason | None:
    """Filter 2: a sentence with no entity, or with ENTITY alone, is dropped (NER-BERT §2.2)."""
    if not categories:
        return Reason.NO_ENTITY
    return Reason.ONLY_UNTYPED if not keep_untyped and set(categories) == {ENTITY} else None


def most_common(counts: Mapping[str, int], number: int) -> frozenset[str]:
    """Filter 3: the `number` most frequent categories, ties by name; ENTITY is always one of them (NER-BERT §2.2)."""
    ranked = sorted(counts, key=lambda name: (name != ENTITY, -counts[name], name))
    return frozenset(ranked[:number])


def common_and_untyped(categories: Sequence[str], common: Collection[str], chance: float) -> Reason | None:
    """Filter 3: where all categories are common ones, many ENTITY mentions drop the sentence (NER-BERT §2.2).

    `chance` is the sentence's random number in [0, 1).
    """
    if not set(categories) <= set(common):
        return None
    untyped = min(categories.count(ENTITY), len(_DROPPED) - 1)
    return Reason.COMMON_AND_UNTYPED if chance < _DROPPED[untyped] else None


def normalised_words(text: str) -> list[str]:
    """Return the words of a text for comparisons: lower-case `\\w+`."""
    return _WORD.findall(text.lower())


def ngrams(text: str, length: int) -> set[str]:
    """Return all runs of `length` normalised words of a text."""
    words = normalised_words(text)
    return {" ".join(words[place : place + length]) for place in range(len(words) - length + 1)}


def excluded(text: str, forbidden: Collection[str], length: int) -> Reason | None:
    """Drop a sentence that shares a run of words with the texts to exclude."""
    return Reason.EXCLUDED_TEXT if forbidden and not ngrams(text, length).isdisjoint(forbidden) else None
