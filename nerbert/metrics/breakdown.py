"""The parts of a score: by type and by length, each with its interval, and the types that are confused.

Intervals are bootstraps over sentences (`judging.bootstrap`), of these and of one more whose entity is wrong: nothing
wrong among a few entities isn't nothing wrong. A difference has two more: in each another tagger alone is right.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from nerbert.metrics.judging import Interval, bootstrap, bootstrap_difference, counts_by_sentence
from nerbert.metrics.score import Counts, Numbers, Pair

_RIGHT, _WRONG = np.array([[1, 1, 1]]), np.array([[0, 1, 1]])
"""Right, predicted and gold entities of a sentence."""
LONGEST = 6
"""Entities of so many words, and longer ones, are one group."""


@dataclass(frozen=True, slots=True)
class Part:
    """Counts of some entities, with the interval of their F1."""

    name: str
    counts: Counts
    interval: Interval


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """F1 (0–1) of two taggers on the same entities, with the interval of the first one's less the second one's."""

    name: str
    gold: int
    f1: float
    other: float
    interval: Interval

    @property
    def gain(self) -> float:
        """Return the first tagger's F1 less the second one's."""
        return self.f1 - self.other

    @property
    def sure(self) -> bool:
        """Return whether the interval leaves no doubt which one is ahead."""
        return self.interval.low > 0 or self.interval.high < 0


class Confusion(NamedTuple):
    """How often entities of a type were found with exactly their words, but another type."""

    gold: str
    found: str
    entities: int


def by_type(pair: Pair) -> list[Part]:
    """Return the counts of each type that occurs, the types with the most gold entities first."""
    parts = [_part(name, pair.of_type(name)) for name in pair.types[1:]]
    return sorted((each for each in parts if each.counts != Counts()), key=lambda each: (-each.counts.gold, each.name))


def by_length(pair: Pair) -> list[Part]:
    """Return the counts of entities with one word, two words, …, by their own length, gold or predicted."""
    lengths = range(1, LONGEST + 1)
    names = [*map(str, lengths[:-1]), f"{LONGEST} or more"]
    parts = []
    for name, length in zip(names, lengths, strict=True):
        gold, found = (each.where(np.minimum(each.ends - each.starts, LONGEST) == length)
                       for each in (pair.gold, pair.found))  # fmt: skip
        parts.append(_part(name, replace(pair, gold=gold, found=found)))
    return [each for each in parts if each.counts != Counts()]


def confusions(pair: Pair) -> list[Confusion]:
    """Return the pairs of types that were confused, the most frequent first; their sum is `kinds_of`'s `type`."""
    columns = [one.types[one.within(other, typed=False)] for one, other in ((pair.gold, pair.found),
                                                                            (pair.found, pair.gold))]  # fmt: skip
    numbers = zip(*(each.tolist() for each in columns), strict=True)
    counts = Counter((pair.types[gold], pair.types[found]) for gold, found in numbers if gold != found)
    return [Confusion(*types, count) for types, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]


def differences(one: Pair, other: Pair) -> Iterator[ScoreDifference]:
    """Yield the difference of two taggers over all entities, then by type, the types with the most gold entities first.

    Both pairs have the same gold tags.
    """
    yield _difference("", counts_by_sentence(one), counts_by_sentence(other))
    names = dict.fromkeys((*one.types[1:], *other.types[1:]))
    found = [_difference(name, *(_of_type(each, name) for each in (one, other))) for name in names]
    yield from sorted(found, key=lambda each: (-each.gold, each.name))


def _part(name: str, pair: Pair) -> Part:
    counts = counts_by_sentence(pair)
    return Part(name, Counts(*counts.sum(axis=0).tolist()), bootstrap(np.vstack([counts, _WRONG])))


def _of_type(pair: Pair, name: str) -> Numbers:
    if name not in pair.types:
        return np.zeros((pair.sentences, 3), np.int64)
    return counts_by_sentence(pair.of_type(name))


def _difference(name: str, one: Numbers, other: Numbers) -> ScoreDifference:
    first, second = (Counts(*each.sum(axis=0).tolist()) for each in (one, other))
    rows = ([one, _RIGHT, _WRONG], [other, _WRONG, _RIGHT])
    return ScoreDifference(name, first.gold, first.f1, second.f1, bootstrap_difference(*map(np.vstack, rows)))
