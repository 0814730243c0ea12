"""Calibration: the precision of entities by confidence, and the temperature that calibrates confidences.

A temperature is fitted to entities, not words, since users see entities (docs/explanation/scores.md, Confidences).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError
from nerbert.metrics.score import Counts, Pair, check_lengths

BINS = 10
Shares: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error (0–1) over `bins` bins, and the number of predicted entities."""

    ece: float
    bins: int
    entities: int


def calibrate(confidences: Sequence[float], right: Sequence[bool], *, bins: int = BINS) -> Calibration:
    """Return the expected calibration error of predictions, from their confidences (0–1) and correctness (`right`)."""
    sure, numbers = _assign_bins(confidences, bins)
    # The sum of (right − confidence) in a bin is its count times its gap: no division is needed.
    gaps = np.bincount(numbers, np.asarray(right, float) - sure, bins)
    return Calibration(float(np.abs(gaps).sum() / max(1, sure.size)), bins, sure.size)


def _assign_bins(confidences: Sequence[float], bins: int) -> tuple[Shares, npt.NDArray[np.int64]]:
    """Return the checked confidences, and the bin number of each."""
    sure = np.asarray(confidences, float)
    # Written so that NaN fails, too.
    if not ((sure >= 0) & (sure <= 1)).all():
        raise InputError(f"confidence {sure[~((sure >= 0) & (sure <= 1))][0]}: must lie between 0 and 1")
    # `right=True`: a confidence of exactly 0.1 belongs to the bin up to 0.1.
    return sure, np.digitize(sure, np.arange(1, bins) / bins, right=True)


@dataclass(frozen=True, slots=True)
class Bin:
    """Predicted entities with a confidence above `low`, up to `high`: count, mean confidence and precision."""

    low: float
    high: float
    entities: int
    confidence: float
    precision: float


def reliability(confidences: Sequence[float], right: Sequence[bool], *, bins: int = BINS) -> list[Bin]:
    """Return the nonempty bins; `calibrate` averages the gap between their confidence and precision."""
    sure, numbers = _assign_bins(confidences, bins)
    columns = [np.bincount(numbers, weights, bins).tolist() for weights in (None, sure, np.asarray(right, float))]
    return [
        Bin(number / bins, (number + 1) / bins, count, total / count, hits / count)
        for number, (count, total, hits) in enumerate(zip(*columns, strict=True))
        if count
    ]


def temperature_of(card: Mapping[str, Any]) -> float:
    """Return the temperature in a model's `nerbert.json`; 1 if it is not calibrated."""
    return float((card.get("calibration") or {}).get("temperature", 1.0))


def uncalibrate(confidence: float, temperature: float) -> float:
    """Return the probability (0–1) of one of two classes that a temperature maps to `confidence`."""
    # Their log odds are infinite; no temperature moves them.
    if confidence in (0.0, 1.0) or temperature == 1:
        return confidence
    odds = temperature * (math.log(confidence) - math.log1p(-confidence))
    # Two forms of the same function: `exp` of a large number would overflow.
    return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))


def entity_confidences(pair: Pair, confidences: Sequence[Sequence[float]]) -> list[float]:
    """Return the confidence (0–1) of each predicted entity: the mean over its words; `confidences` has one per word."""
    check_lengths(pair.offsets, "confidences", confidences)
    # The 0 at the end: `reduceat` accepts no index behind the last word.
    words = np.fromiter(chain(chain.from_iterable(confidences), [0.0]), float)
    if (bad := np.flatnonzero(~((words >= 0) & (words <= 1)))).size:
        sentence = int(np.searchsorted(pair.offsets, bad[0], side="right")) - 1
        raise InputError(f"sentence {sentence}: confidence {words[bad[0]]}: must lie between 0 and 1")
    starts, ends = pair.predicted.starts, pair.predicted.ends
    if not starts.size:
        return []
    # Every second sum is of an entity; the others are of the words between entities.
    sums = np.add.reduceat(words, np.stack([starts, ends], axis=1).ravel())[::2]
    return (sums / (ends - starts)).tolist()  # type: ignore[no-any-return]


ConfidencesAt: TypeAlias = Callable[[float], Shares]
"""Temperature → the confidence (0–1) of each predicted entity."""
LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of a temperature: beyond them, every confidence is near 1, or at chance level."""
FOLDS = 5
_PRIOR = 4.0
"""Inverse variance of the prior of ln T. It matters with two entities, but has no effect from 30 sentences on."""
_GRID = np.linspace(math.log(LOWEST), math.log(HIGHEST), 61)
_LEAST = 1e-6
"""Minimum distance of confidences from 0 and 1 in the log loss, so that one confident mistake doesn't dominate it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A temperature, and the calibration error `before` and `after` applying it, cross-fitted in `folds` folds."""

    temperature: float
    before: Calibration
    after: Calibration
    folds: int = FOLDS


def cross_fit(confidences: ConfidencesAt, right: npt.ArrayLike, sentences: npt.ArrayLike, folds: int = FOLDS) -> Fitted:
    """Fit a temperature on all entities; measure its effect on each fold of sentences, fitted on the other folds."""
    outcomes = np.asarray(right, bool)
    # By sentence, since entities of one sentence are right or wrong together.
    part = np.asarray(sentences, np.int64) % folds
    if not outcomes.size:
        return Fitted(1.0, calibrate([], []), calibrate([], []), folds)
    # Computed once for each temperature; each fold then only adds up its entities.
    losses = np.stack([log_loss(confidences(math.exp(point)), outcomes) for point in _GRID])
    after = np.zeros(outcomes.size)
    # Measured on the entities that it was fitted on, a temperature would look too good.
    for fold in np.unique(part):
        in_fold = part == fold
        after[in_fold] = confidences(best_temperature(losses[:, ~in_fold]))[in_fold]
    flags: list[bool] = outcomes.tolist()
    before = calibrate(confidences(1.0).tolist(), flags)
    return Fitted(best_temperature(losses), before, calibrate(after.tolist(), flags), folds)


def log_loss(confidences: npt.ArrayLike, right: npt.ArrayLike) -> Shares:
    """Return −ln p of each prediction; p is the confidence of a right prediction, and 1 − confidence of a wrong one."""
    sure = np.clip(np.asarray(confidences, float), _LEAST, 1 - _LEAST)
    outcomes = np.asarray(right, bool)
    losses: Shares = -np.log(np.where(outcomes, sure, 1 - sure))
    return losses


def best_temperature(losses: Shares) -> float:
    """Return the temperature with the lowest loss (grid, entities), interpolated; of equals, the lowest temperature."""
    # The prior pulls to T = 1: two right entities alone would have T as low as allowed.
    loss = losses.sum(axis=1) + _PRIOR * _GRID**2 / 2
    best = int(loss.argmin())
    # No parabola can be laid through a point at the edge.
    if best in (0, _GRID.size - 1):
        return math.exp(_GRID[best])
    before, here, after = loss[best - 1 : best + 2]
    # The vertex of a parabola through three points; the divisor is > 0, since argmin returns the first minimum.
    shift = (before - after) / (2 * (before - 2 * here + after))
    return math.exp(_GRID[best] + shift * (_GRID[1] - _GRID[0]))


def kept_counts(
    confidences: npt.ArrayLike, right: npt.ArrayLike, gold: int, thresholds: Sequence[float]
) -> list[Counts]:
    """Return for each threshold the counts of the entities with at least that confidence; `gold` are annotated."""
    sure = np.asarray(confidences, float)
    outcomes = np.asarray(right, bool)
    kept = [sure >= threshold for threshold in thresholds]
    return [Counts(int(outcomes[mask].sum()), int(mask.sum()), gold) for mask in kept]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A type's threshold and its effect; 0 keeps all entities, None (counts are of all) can't reach the precision."""

    confidence: float | None
    predicted: int
    right: int
    kept: int
    kept_right: int

    @property
    def precision(self) -> float:
        """Share of right entities among the kept ones; 0 if none are kept."""
        return self.kept_right / self.kept if self.kept else 0.0

    @property
    def recall_kept(self) -> float:
        """Share of kept entities among the right ones; 0 if none are right."""
        return self.kept_right / self.right if self.right else 0.0


def lowest_thresholds(
    types: Sequence[str], confidences: npt.ArrayLike, right: npt.ArrayLike, precision: float
) -> dict[str, Threshold]:
    """Return the lowest threshold of each predicted type that reaches a precision (above 0, at most 1), by type."""
    sure = np.asarray(confidences, float)
    outcomes = np.asarray(right, bool)
    of_entity = np.asarray(types, object)
    thresholds = {}
    for name in sorted(set(types)):
        mask = of_entity == name
        thresholds[name] = _lowest(sure[mask], outcomes[mask], precision)
    return thresholds


def _lowest(sure: Shares, right: npt.NDArray[np.bool_], precision: float) -> Threshold:
    order = np.argsort(-sure)
    sure = sure[order]
    hits = np.cumsum(right[order])
    kept = np.arange(1, sure.size + 1)
    # A threshold keeps all entities of equal confidence, or none of them.
    last_of_equals = np.append(sure[1:] < sure[:-1], True)
    # 1e-9: 0.07 × 100 is 7.000000000000001, which 7 right entities must reach.
    reaches = np.flatnonzero(last_of_equals & (hits >= precision * kept - 1e-9))
    total = int(sure.size)
    hit = int(hits[-1])
    if not reaches.size:
        return Threshold(None, total, hit, total, hit)
    # The last one that reaches it is the lowest threshold, which keeps the most entities.
    last = int(reaches[-1])
    # If all are kept, 0 also keeps less confident ones of later texts.
    confidence = 0.0 if last == total - 1 else float(sure[last])
    return Threshold(confidence, total, hit, last + 1, int(hits[last]))
