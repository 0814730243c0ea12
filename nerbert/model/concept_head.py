"""Heads of labels given at run time: vectors against the labels', of words (NuNER's two encoders) or of spans (ours).

Vectors are rounded to whole numbers whose products are exact in fp64. So a label's score doesn't depend on the others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from nerbert.data.open_types import fold_labels
from nerbert.errors import InputError
from nerbert.model.heads import NEEDS_LABELS, Candidate, Entities, chosen_candidates, is_one_entity
from nerbert.model.linear import MAX_TOKENS, WindowedHead, WordScores, linked_words, owners
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array

_EXACT_BITS = 53
"""Bits of a whole number that fp64 holds."""
_CELLS = 1 << 22
"""Numbers of spans' vectors, or pairs of a word or span and a label, that are held at once: 32 MB."""
BOUNDARIES = ("O", "B", "I")
"""The tags of words, whatever the types of entities."""
_OUTSIDE, _BEGIN, _INSIDE = range(len(BOUNDARIES))
_LEAST = 1e-3
"""The least probability of a span that is looked at."""


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
        return [label.name for label in self.labels]


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
        # Sorted, so that the same labels in another order are the same request and give the same ties.
        pairs = sorted(zip(labels, thresholds, strict=True), key=lambda pair: pair[0].name)
        ordered = [label for label, _ in pairs]
        least = np.array([bound for _, bound in pairs], np.float64)
        with np.errstate(divide="ignore"):
            bounds = np.log(least) - np.log1p(-least)
        # Other thresholds for the same labels: their vectors are kept, which is the expensive part.
        if self.asked and self.asked.labels == ordered:
            return replace(self, asked=replace(self.asked, bounds=bounds))
        # The encoder reads labels as training wrote them, without case and underscores.
        numbers, scales = whole_numbers(self.vectors(fold_labels(ordered)))
        return replace(self, asked=AskedLabels(ordered, numbers.T, scales, bounds))

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of some examples; raise InputError without labels."""
        return self.predict_each([(self, examples)])[0]

    def predict_each(self, groups: "Sequence[tuple[ConceptHead, Sequence[Example]]]") -> list[Entities]:  # type: ignore[override]
        """Return the entities of several groups; their words' vectors are computed together."""
        if not all(head.asked for head, _ in groups):
            raise InputError(NEEDS_LABELS)
        _, lists = zip(*groups, strict=True)
        ends = [0, *accumulate(map(len, lists))]
        # An empty first part gives a group without examples an answer, too.
        parts: list[list[tuple[Entities, int]]] = [[(Entities.of([]), 0)] for _ in groups]
        examples = list(chain.from_iterable(lists))
        start = 0
        for chunk, scores in self.score_words(examples, self.columns_of(self.width), self.max_tokens):
            for (head, _), head_parts, (first, end) in zip(groups, parts, pairwise(ends), strict=True):
                here = slice(max(0, first - start), min(len(chunk), end - start))
                if here.start < here.stop and head.asked:
                    part = scores.part(here.start, here.stop)
                    head_parts.append((head._entities(chunk[here], part, head.asked), here.stop - here.start))
            start += len(chunk)
        return [Entities.join(*zip(*head_parts, strict=True)) for head_parts in parts]

    def _entities(self, examples: Sequence[Example], scores: WordScores, asked: AskedLabels) -> Entities:
        labels = np.full(scores.words, -1)
        odds = np.zeros(scores.words, np.float32)
        labels[scores.read], odds[scores.read] = self._best(scores.logits, asked)
        owner = owners(scores)
        labels[scores.followers], odds[scores.followers] = labels[owner], odds[owner]
        words = np.flatnonzero(labels >= 0)
        labels = labels[words]
        odds = odds[words]
        numbers = np.searchsorted(scores.offsets, words, side="right") - 1
        positions = words - scores.offsets[numbers]
        same = np.zeros(len(words), bool)
        same[1:] = (numbers[1:] == numbers[:-1]) & (labels[1:] == labels[:-1])
        for index in np.flatnonzero(same).tolist():
            before, word = positions[index - 1 : index + 1].tolist()
            same[index] = is_one_entity(examples[numbers[index]], before, word, touching=self.decoding == "touching")
        first = np.flatnonzero(~same)
        names = asked.names
        last = np.append(first[1:], len(words))[: len(first)] - 1
        return Entities(
            numbers[first],
            positions[first],
            positions[last] + 1,
            [names[label] for label in labels[first].tolist()],
            np.stack([np.zeros_like(odds), odds], 1),
            np.ones(len(words), np.int64),
            first,
        )

    def _best(self, vectors: Array, asked: AskedLabels) -> tuple[Array, Array]:
        """Return (words,) twice: the label that is likeliest of those that reach their bounds, or −1; its log-odds."""
        labels = np.full(len(vectors), -1)
        odds = np.zeros(len(vectors), np.float32)
        # With thousands of labels the table of words × labels would not fit into memory at once.
        step = max(1, _CELLS // len(asked.labels))
        for start in range(0, len(vectors), step):
            here = slice(start, start + step)
            labels[here], odds[here] = likeliest(self.odds(*whole_numbers(vectors[here]), asked), asked.bounds)
        return labels, odds

    def odds(self, numbers: Array, scales: Array, asked: AskedLabels) -> Array:
        """Return (vectors, labels): the log-odds of each label for vectors as whole numbers."""
        return np.asarray(numbers @ asked.numbers * asked.scales * (scales / self.temperature)[:, None] + self.bias)


def likeliest(scores: Array, bounds: Array) -> tuple[Array, Array]:
    """Return (rows,) twice: the label with the highest score of those that reach their bounds, or −1; that score."""
    scores[scores < bounds] = -np.inf
    best = scores.argmax(1)
    top = scores[np.arange(len(best)), best]
    return np.where(top > -np.inf, best, -1), top


def whole_numbers(vectors: Array) -> tuple[Array, Array]:
    """Return vectors as whole numbers, whose products fp64 sums exactly, and the power of two of each."""
    # The bits of two factors and of the number of summands must fit into fp64's 53 together.
    bits = (_EXACT_BITS - math.ceil(math.log2(vectors.shape[1]))) // 2
    _, exponents = np.frexp(np.abs(vectors).max(1, initial=0.0))
    # A scale that is a power of two is divided out again without rounding.
    numbers = np.rint(vectors * np.ldexp(1.0, bits - exponents)[:, None])
    return numbers, np.ldexp(1.0, exponents - bits)


class LikelySpans(NamedTuple):
    """Spans of words, (spans,) each: the first word, the word after the last, the logarithm of the probability."""

    starts: Array
    ends: Array
    logs: Array


@dataclass(frozen=True)
class NamesHead(ConceptHead):
    """Two encoders of one space, and a layer of boundary tags: `scorer` gives words' vectors and their tags' logits."""

    name: str = "names"
    decodings: ClassVar[Any] = Literal["flat", "nested"]

    @classmethod
    def columns_of(cls, width: int) -> int:
        """Return how many numbers `scorer` gives for a word: its vector and the logits of its tags."""
        return width + len(BOUNDARIES)

    def _entities(self, examples: Sequence[Example], scores: WordScores, asked: AskedLabels) -> Entities:
        # Bounds are log-odds; spans are compared by log-probabilities, since P(entity) and
        # P(label) multiply.
        bounds = -np.logaddexp(0, -asked.bounds)
        spans = likely_spans(scores.logits[:, self.width :], linked_words(scores), float(bounds.min()))
        labels, logs = self._label(scores.logits[:, : self.width], spans, asked, bounds)
        kept = np.flatnonzero(labels >= 0)
        # A span ends with the last of the words that share its last word's piece.
        last_words = np.arange(scores.words)
        np.maximum.at(last_words, owners(scores), scores.followers)
        first = scores.read[spans.starts[kept]]
        last = last_words[scores.read][spans.ends[kept] - 1]
        numbers = np.searchsorted(scores.offsets, first, side="right") - 1
        begin = scores.offsets[numbers]
        # A probability of exactly 1 would have infinite log-odds.
        sure = np.minimum(logs[kept], -1e-12)
        columns = (first - begin, last + 1 - begin, labels[kept], sure - np.log(-np.expm1(sure)), np.exp(sure))
        by_example: list[list[Candidate]] = [[] for _ in examples]
        for number, *candidate in zip(numbers.tolist(), *(column.tolist() for column in columns), strict=True):
            by_example[number].append(Candidate(*candidate))
        names = asked.names
        nested = self.decoding == "nested"
        chosen = (
            chosen_candidates(candidates, len(example.words), nested=nested)
            for example, candidates in zip(examples, by_example, strict=True)
        )
        return Entities.of(
            [[((span.start, span.end, names[span.label]), span.odds) for span in group] for group in chosen],
            nested=nested,
        )

    def _label(self, vectors: Array, spans: LikelySpans, asked: AskedLabels, bounds: Array) -> tuple[Array, Array]:
        """Return (spans,) twice: the likeliest label of those that reach their bounds, or −1; log P(entity, label)."""
        labels = np.full(len(spans.starts), -1)
        logs = np.full(len(spans.starts), -np.inf)
        step = max(1, _CELLS // max(len(asked.labels), vectors.shape[1]))
        for start in range(0, len(labels), step):
            here = slice(start, start + step)
            numbers, scales = whole_numbers(mean_vectors(vectors, spans.starts[here], spans.ends[here]))
            scores = spans.logs[here, None] - np.logaddexp(0, -self.odds(numbers, scales, asked))
            labels[here], logs[here] = likeliest(scores, bounds)
        return labels, logs


def concept_head(*, boundaries: bool) -> type[ConceptHead]:
    """Return the kind of head of two encoders with or without a layer of boundary tags."""
    return NamesHead if boundaries else ConceptHead


def likely_spans(logits: Array, linked: Array, least: float) -> LikelySpans:
    """Return the spans whose logarithm of probability is at least `least`, from (words, 3) logits of tags.

    `linked` (words,) says whether an entity may reach a word from the word before. A word in an entity where the word
    before is in none begins it, as by the CoNLL script.
    """
    # A threshold of 0 would list every span of a text.
    least = max(least, float(np.log(_LEAST)))
    tags = logits.astype(np.float64)
    tags -= np.logaddexp.reduce(tags, axis=1, keepdims=True)
    inside = tags[:, _INSIDE]
    not_inside = np.logaddexp(tags[:, _OUTSIDE], tags[:, _BEGIN])
    # The first word of a chain has nothing before it: there an I- begins an entity with any tag before.
    outside_before = np.where(linked, np.roll(tags[:, _OUTSIDE], 1), 0.0)
    begins = np.logaddexp(tags[:, _BEGIN], inside + outside_before)
    goes_on = np.append(linked[1:], False)
    # An entity ends for sure where the chain ends; elsewhere the next word must not be inside.
    stops = np.where(goes_on, np.roll(not_inside, -1), 0.0)
    # All spans of one length at a time, from single words on. Each further word only lowers
    # a span's probability, so what is too unlikely is never extended.
    starts = np.flatnonzero(begins >= least)
    lasts = starts
    logs = begins[starts]
    parts = list[tuple[Array, Array, Array]]()
    while len(starts):
        total = logs + stops[lasts]
        kept = total >= least
        parts.append((starts[kept], lasts[kept] + 1, total[kept]))
        on = np.flatnonzero(goes_on[lasts])
        starts = starts[on]
        lasts = lasts[on] + 1
        logs = logs[on]
        logs = logs + inside[lasts]
        likely = logs >= least
        starts = starts[likely]
        lasts = lasts[likely]
        logs = logs[likely]
    columns = zip(*parts, strict=True) if parts else ([np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)])
    return LikelySpans(*map(np.concatenate, columns))


def mean_vectors(vectors: Array, starts: Array, ends: Array) -> Array:
    """Return (spans, width): the mean of the vectors of each span's words, by these alone."""
    if not len(starts):
        return np.zeros((0, vectors.shape[1]))
    # `reduceat` needs a row at the end of a span that ends with the last word.
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), vectors.dtype)]).astype(np.float64)
    sums = np.add.reduceat(padded, np.stack([starts, ends], 1).ravel())[::2]
    return np.asarray(sums / (ends - starts)[:, None])
