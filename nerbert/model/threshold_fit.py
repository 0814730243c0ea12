"""The threshold of a head that takes labels at run time, fitted to annotated sentences that it is asked once."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.calibration import UNSCALED, Scaling
from nerbert.metrics.score import Counts
from nerbert.model.heads import Entities, Head
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array

USUAL = 0.5
"""The threshold where none was fitted; of equally good ones the nearest to it is taken."""
TRIED = (0.01, 0.02, 0.03, *(number / 20 for number in range(1, 20)))
"""The thresholds that are tried, in order: ask a head at the first one."""
_CARD_SCALE = 1_000_000
_ROUNDED = 0.001
"""Confidences nearer to 0 or 1 aren't rounded: a low temperature puts many probabilities there."""
_SUREST = 1 - 2**-53
"""The highest confidence below 1; no entity reaches 1."""


class FittedThreshold(NamedTuple):
    """A threshold as a `probability` before any scaling, and its F1 (both 0–1)."""

    probability: float
    f1: float


def above(entities: Entities, least: float) -> Entities:
    """Return what a head with thresholds finds at a higher one, `least` (0–1), without asking it again.

    An entity whose words each have a probability may fall into several. Nothing less likely kept a likelier one away.
    """
    odds = entities.logits[:, 1] - entities.logits[:, 0]
    lengths = np.diff(entities.parts, append=len(entities.chosen))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    index = np.arange(len(odds)) - entities.parts[owner]
    with np.errstate(divide="ignore"):
        keep = odds >= np.log(least) - np.log1p(-least)
    before = np.append(False, keep[:-1])
    after = np.append(keep[1:], False)
    # A part that is kept begins an entity if it is the entity's first, or the part before it fell away.
    first = np.flatnonzero(keep & ((index == 0) | ~before))
    last = np.flatnonzero(keep & ((index == lengths[owner] - 1) | ~after))
    of = owner[first]
    whole = lengths[owner[first]] == 1
    starts = np.where(whole, entities.starts[of], entities.starts[of] + index[first])
    ends = np.where(whole, entities.ends[of], entities.starts[of] + index[last] + 1)
    types = [entities.types[number] for number in of.tolist()]
    return Entities(
        entities.examples[of],
        starts,
        ends,
        types,
        entities.logits[keep],
        entities.chosen[keep],
        (np.cumsum(keep) - 1)[first],
    )


def best_threshold(entities: Entities, gold: Sequence[Sequence[WordSpan]]) -> FittedThreshold:
    """Return the threshold of `TRIED` with the highest F1 on annotated sentences, nearest to 0.5, and its F1 (0–1).

    `gold` has the entities of each example, `found` is what the head finds at the lowest threshold of `TRIED`.
    """
    f1 = dict(zip(TRIED, _scores(entities, gold), strict=True))
    best = max(TRIED, key=lambda threshold: (f1[threshold], -abs(threshold - USUAL), threshold))
    return FittedThreshold(best, f1[best])


def fit_threshold(head: Head, labels: Sequence[EntityLabel], examples: Sequence[Example]) -> FittedThreshold:
    """Return what `best_threshold` does, for a head that is asked for these labels."""
    entities = head.for_labels(labels, [TRIED[0]] * len(labels)).predict(examples)
    return best_threshold(entities, list(map(word_spans, examples)))


def calibrate_threshold(threshold: float, scaling: Scaling) -> float:
    """Return the confidence (0–1) that a scaling makes of a probability, rounded down, as cards have it."""
    if scaling == UNSCALED:
        return threshold
    confidence = scaling.apply(threshold)
    rounds = _ROUNDED <= confidence <= 1 - _ROUNDED
    # Rounded down: an entity that just reaches the threshold must still reach that of the card.
    return math.floor(confidence * _CARD_SCALE) / _CARD_SCALE if rounds else min(confidence, _SUREST)


def _scores(entities: Entities, gold: Sequence[Sequence[WordSpan]]) -> list[float]:
    """Return F1 at each threshold of `TRIED`, as `score_spans` counts."""
    rows = [(number, *span) for number, spans in enumerate(gold) for span in spans]
    examples, starts, ends = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
    types = [row[3] for row in rows]
    codes = {type_: number for number, type_ in enumerate({*types, *entities.types})}
    # Each span becomes one whole number, so that spans are compared as sorted arrays for all thresholds.
    width = int(max(ends.max(initial=0), entities.ends.max(initial=0))) + 1

    def number_spans(examples: Array, starts: Array, ends: Array, types: Sequence[str]) -> Array:
        of_types = np.fromiter(map(codes.__getitem__, types), np.int64, len(types))
        return np.unique(((examples * width + starts) * width + ends) * len(codes) + of_types)

    gold_numbers = number_spans(examples, starts, ends, types)
    scores = []
    for least in TRIED:
        kept = above(entities, least)
        there = number_spans(kept.examples, kept.starts, kept.ends, kept.types)
        right = int(np.isin(there, gold_numbers, assume_unique=True).sum())
        scores.append(Counts(right, len(there), len(gold_numbers)).f1)
    return scores
