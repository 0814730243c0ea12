"""Estimate how much micro F1 depends on the choice of test sentences.

The percentile bootstrap (Efron 1979) draws as many sentences as there are, with replacement, and computes F1 of each
such sample. Sentences with the same three counts are equivalent, so the draw is of how often each kind of sentence
occurs: the same distribution, at a cost that hardly grows with the test set. The interval covers only the choice of
test sentences; training seeds and few-shot draws add their own variance.

The draws come from numpy's `RandomState`, whose stream is frozen: the same counts give the same interval everywhere.
"""

from dataclasses import dataclass

import numpy as np

from nerbert.errors import InputError
from nerbert.metrics.columns import Numbers, Pair
from nerbert.rng import uniform

SAMPLES = 1_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of micro F1 (0–1) that contain the share `level` of the samples."""

    low: float
    high: float
    level: float
    samples: int


def counts_by_sentence(pair: Pair) -> Numbers:
    """Return one row per sentence: its right, predicted and gold entities."""
    right = pair.found.where(pair.found.within(pair.gold))
    places = (pair.sentence_of(columns) for columns in (right, pair.found, pair.gold))
    return np.stack([np.bincount(each, minlength=pair.sentences) for each in places], axis=1)


def bootstrap(counts: Numbers, *, samples: int = SAMPLES, level: float = LEVEL, seed: int = 0) -> Interval:
    """Return the interval of micro F1; `counts` has a row per sentence (right, predicted, gold), in any order."""
    if samples < 1 or not 0 < level < 1:
        raise InputError(f"bootstrap: samples {samples} must be at least 1, level {level} between 0 and 1")
    if not len(counts):
        return Interval(0.0, 0.0, level, samples)
    kinds, often = np.unique(counts, axis=0, return_counts=True)
    draws = np.random.RandomState(int(uniform(seed, "bootstrap", str(samples)) * (1 << 32)))
    right, predicted, gold = (draws.multinomial(len(counts), often / len(counts), samples) @ kinds).T
    f1 = 2 * right / np.maximum(1, predicted + gold)
    low, high = np.quantile(f1, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, samples)
