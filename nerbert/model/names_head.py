"""The head of boundaries and names: entities by untyped BIO tags, each typed by its vector against the labels' (ours).

P(entity, label) = P(span) · P(label | span). P(span) is that of its tags: its first word begins an entity, the others
continue it, the word after it doesn't. So a label's score doesn't depend on the other labels, nor on their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from nerbert.model.concept_head import AskedLabels, ConceptHead, likeliest, slices, whole_numbers
from nerbert.model.gliner.decode import Candidate, chosen_candidates
from nerbert.model.heads import Entities
from nerbert.model.linear import WordScores, linked_words, owners
from nerbert.records import Example
from nerbert.rng import Array

BOUNDARIES = ("O", "B", "I")
"""The tags of words, whatever the types of entities."""
_OUTSIDE, _BEGIN, _INSIDE = range(len(BOUNDARIES))
_LEAST = 1e-3
"""The least probability of a span that is looked at."""
_CELLS = 1 << 22
"""Numbers of spans' vectors, or pairs of span and label, that are held at once: 32 MB."""


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
        bounds = -np.logaddexp(0, -asked.bounds)
        spans = likely_spans(scores.logits[:, self.width :], linked_words(scores), float(bounds.min()))
        labels, logs = self._typed(scores.logits[:, : self.width], spans, asked, bounds)
        kept = np.flatnonzero(labels >= 0)
        last_words = np.arange(scores.words)  # the last of the words that share a word's piece
        np.maximum.at(last_words, owners(scores), scores.followers)
        first, last = scores.read[spans.starts[kept]], last_words[scores.read][spans.ends[kept] - 1]
        numbers = np.searchsorted(scores.offsets, first, side="right") - 1
        begin, sure = scores.offsets[numbers], np.minimum(logs[kept], -1e-12)
        columns = (first - begin, last + 1 - begin, labels[kept], sure - np.log(-np.expm1(sure)), np.exp(sure))
        found: list[list[Candidate]] = [[] for _ in examples]
        for number, *candidate in zip(numbers.tolist(), *(each.tolist() for each in columns), strict=True):
            found[number].append(Candidate(*candidate))
        names, nested = asked.names, self.decoding == "nested"
        chosen = (chosen_candidates(some, len(example.words), nested=nested)
                  for example, some in zip(examples, found, strict=True))  # fmt: skip
        return Entities.of([[((each.start, each.end, names[each.label]), each.odds) for each in some]
                            for some in chosen], nested=nested)  # fmt: skip

    def _typed(self, vectors: Array, spans: LikelySpans, asked: AskedLabels, bounds: Array) -> tuple[Array, Array]:
        """Return (spans,) twice: the likeliest label of those that reach their bounds, or −1; log P(entity, label)."""
        labels, logs = np.full(len(spans.starts), -1), np.full(len(spans.starts), -np.inf)
        for here in slices(len(labels), max(1, _CELLS // max(len(asked.labels), vectors.shape[1]))):
            numbers, scales = whole_numbers(mean_vectors(vectors, spans.starts[here], spans.ends[here]))
            found = spans.logs[here, None] - np.logaddexp(0, -self.odds(numbers, scales, asked))
            labels[here], logs[here] = likeliest(found, bounds)
        return labels, logs


def concept_head(*, boundaries: bool) -> type[ConceptHead]:
    """Return the kind of head of two encoders with or without a layer of boundary tags."""
    return NamesHead if boundaries else ConceptHead


def likely_spans(logits: Array, linked: Array, least: float) -> LikelySpans:
    """Return the spans whose logarithm of probability is at least `least`, from (words, 3) logits of tags.

    `linked` (words,) says whether an entity may reach a word from the word before. A word in an entity where the word
    before is in none begins it, as by the CoNLL script.
    """
    least = max(least, float(np.log(_LEAST)))
    tags = logits.astype(np.float64)
    tags -= np.logaddexp.reduce(tags, axis=1, keepdims=True)
    inside, not_inside = tags[:, _INSIDE], np.logaddexp(tags[:, _OUTSIDE], tags[:, _BEGIN])
    outside_before = np.where(linked, np.roll(tags[:, _OUTSIDE], 1), 0.0)
    begins = np.logaddexp(tags[:, _BEGIN], inside + outside_before)
    goes_on = np.append(linked[1:], False)
    stops = np.where(goes_on, np.roll(not_inside, -1), 0.0)
    starts = np.flatnonzero(begins >= least)
    lasts, logs, found = starts, begins[starts], list[tuple[Array, Array, Array]]()
    while len(starts):
        whole = logs + stops[lasts]
        kept = whole >= least
        found.append((starts[kept], lasts[kept] + 1, whole[kept]))
        on = np.flatnonzero(goes_on[lasts])
        starts, lasts, logs = starts[on], lasts[on] + 1, logs[on]
        logs = logs + inside[lasts]
        likely = logs >= least
        starts, lasts, logs = starts[likely], lasts[likely], logs[likely]
    columns = zip(*found, strict=True) if found else ([np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)])
    return LikelySpans(*map(np.concatenate, columns))


def mean_vectors(vectors: Array, starts: Array, ends: Array) -> Array:
    """Return (spans, width): the mean of the vectors of each span's words, by these alone."""
    if not len(starts):
        return np.zeros((0, vectors.shape[1]))
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), vectors.dtype)]).astype(np.float64)
    sums = np.add.reduceat(padded, np.stack([starts, ends], 1).ravel())[::2]
    return np.asarray(sums / (ends - starts)[:, None])
