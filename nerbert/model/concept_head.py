"""The head of labels given at run time: each word's vector against the labels' (NuNER's two encoders).

Vectors are rounded to whole numbers whose products are exact in fp64. So a label's score doesn't depend on the others.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from nerbert.errors import InputError
from nerbert.formats.open_types import normalised_labels
from nerbert.model.heads import NEEDS_LABELS, Entities, is_one_entity
from nerbert.model.linear import MAX_TOKENS, WindowedHead, WordScores, owners, scored
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array

_EXACT_BITS = 53
"""Bits of a whole number that fp64 holds."""
_CELLS = 1 << 22
"""Pairs of word and label that are scored at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class AskedLabels:
    """Labels, by name: their vectors as whole numbers (width, labels), the scale of each, and its least log-odds."""

    labels: list[EntityLabel]
    numbers: Array
    scales: Array
    bounds: Array

    @property
    def names(self) -> list[str]:
        """Return the labels' names."""
        return [each.name for each in self.labels]


@dataclass(frozen=True)
class ConceptHead(WindowedHead):
    """Two encoders of one space: `scorer` gives words' vectors, `vectors` labels'; without `asked` it has no types."""

    vectors: Callable[[Sequence[EntityLabel]], Array]
    width: int
    temperature: float
    bias: float
    max_tokens: int = MAX_TOKENS
    decoding: str = "flat"
    name: str = "concepts"
    asked: AskedLabels | None = None
    usual_threshold = 0.5
    decodings: ClassVar[Any] = Literal["flat", "touching"]

    @classmethod
    def columns_of(cls, width: int) -> int:
        """Return how many numbers `scorer` gives for a word, where vectors have so many."""
        return width

    @property
    def types(self) -> list[str]:
        """Return the names of its labels, sorted."""
        return sorted(set(self.asked.names)) if self.asked else []

    @property
    def labels(self) -> list[EntityLabel]:
        """Return its labels, sorted by name."""
        return self.asked.labels if self.asked else []

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "ConceptHead":
        """Return a head that finds entities of these labels, each at least as likely as its threshold."""
        pairs = sorted(zip(labels, thresholds, strict=True), key=lambda pair: pair[0].name)
        some, least = [label for label, _ in pairs], np.array([bound for _, bound in pairs], np.float64)
        with np.errstate(divide="ignore"):
            bounds = np.log(least) - np.log1p(-least)
        if self.asked and self.asked.labels == some:
            return replace(self, asked=replace(self.asked, bounds=bounds))
        numbers, scales = whole_numbers(self.vectors(normalised_labels(some)))  # as in training
        return replace(self, asked=AskedLabels(some, numbers.T, scales, bounds))

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of some examples; raise InputError without labels."""
        return self.predict_each([(self, examples)])[0]

    def predict_each(self, groups: "Sequence[tuple[ConceptHead, Sequence[Example]]]") -> list[Entities]:  # type: ignore[override]
        """Return the entities of several groups; their words' vectors are computed together."""
        if not all(head.asked for head, _ in groups):
            raise InputError(NEEDS_LABELS)
        ends = [0, *accumulate(len(examples) for _, examples in groups)]
        found: list[list[tuple[Entities, int]]] = [[(Entities.of([]), 0)] for _ in groups]
        examples = [example for _, some in groups for example in some]
        start = 0
        for some, scores in scored(self.scorer, self.pieces, examples, self.columns_of(self.width), self.max_tokens):
            for (head, _), own, (first, end) in zip(groups, found, pairwise(ends), strict=True):
                here = slice(max(0, first - start), min(len(some), end - start))
                if here.start < here.stop and head.asked:
                    part = scores.part(here.start, here.stop)
                    own.append((head._entities(some[here], part, head.asked), here.stop - here.start))
            start += len(some)
        return [Entities.join(*zip(*own, strict=True)) for own in found]

    def _entities(self, examples: Sequence[Example], scores: WordScores, asked: AskedLabels) -> Entities:
        labels, odds = np.full(scores.words, -1), np.zeros(scores.words, np.float32)
        labels[scores.read], odds[scores.read] = self._best(scores.logits, asked)
        owner = owners(scores)
        labels[scores.followers], odds[scores.followers] = labels[owner], odds[owner]
        words = np.flatnonzero(labels >= 0)
        labels, odds = labels[words], odds[words]
        numbers = np.searchsorted(scores.offsets, words, side="right") - 1
        places = words - scores.offsets[numbers]
        same = np.zeros(len(words), bool)
        same[1:] = (numbers[1:] == numbers[:-1]) & (labels[1:] == labels[:-1])
        for place in np.flatnonzero(same).tolist():
            same[place] = is_one_entity(
                examples[numbers[place]],
                int(places[place - 1]),
                int(places[place]),
                touching=self.decoding == "touching",
            )
        first, names = np.flatnonzero(~same), asked.names
        last = np.append(first[1:], len(words))[: len(first)] - 1
        return Entities(
            numbers[first], places[first], places[last] + 1, [names[label] for label in labels[first].tolist()],
            np.stack([np.zeros_like(odds), odds], 1), np.ones(len(words), np.int64), first,
        )  # fmt: skip

    def _best(self, vectors: Array, asked: AskedLabels) -> tuple[Array, Array]:
        """Return (words,) twice: the label that is likeliest of those that reach their bounds, or −1; its log-odds."""
        labels, odds = np.full(len(vectors), -1), np.zeros(len(vectors), np.float32)
        for here in slices(len(vectors), max(1, _CELLS // len(asked.labels))):
            labels[here], odds[here] = likeliest(self.odds(*whole_numbers(vectors[here]), asked), asked.bounds)
        return labels, odds

    def odds(self, numbers: Array, scales: Array, asked: AskedLabels) -> Array:
        """Return (vectors, labels): the log-odds of each label for vectors as whole numbers."""
        found: Array = numbers @ asked.numbers * asked.scales * (scales / self.temperature)[:, None] + self.bias
        return found


def likeliest(scores: Array, bounds: Array) -> tuple[Array, Array]:
    """Return (rows,) twice: the label with the highest score of those that reach their bounds, or −1; that score."""
    scores[scores < bounds] = -np.inf
    best = scores.argmax(1)
    top = scores[np.arange(len(best)), best]
    return np.where(top > -np.inf, best, -1), top


def slices(length: int, step: int) -> Iterator[slice]:
    """Yield slices of `step` places, together `length`."""
    for start in range(0, length, step):
        yield slice(start, start + step)


def whole_numbers(vectors: Array) -> tuple[Array, Array]:
    """Return vectors as whole numbers, whose products fp64 sums exactly, and the power of two of each."""
    bits = (_EXACT_BITS - math.ceil(math.log2(vectors.shape[1]))) // 2
    _, exponents = np.frexp(np.abs(vectors).max(1, initial=0.0))
    numbers = np.rint(vectors * np.ldexp(1.0, bits - exponents)[:, None])
    return numbers, np.ldexp(1.0, exponents - bits)
