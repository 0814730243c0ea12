"""Calibration: the precision of entities by confidence, and the scaling of log-odds that calibrates confidences.

A scaling is fitted to entities, not words, since users see entities (docs/explanation/scores.md, Confidences).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

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


class Scaling(NamedTuple):
    """How logits become confidences: divided by a temperature (Guo et al. 2017), then log-odds have a bias added.

    A head of fixed types has no bias. One that takes labels at run time gives log-odds, which a bias (Platt 1999)
    raises or lowers for all labels alike.
    """

    temperature: float = 1.0
    bias: float = 0.0

    @classmethod
    def read(cls, calibration: Mapping[str, Any]) -> "Scaling":
        """Return the scaling of a card's `calibration`."""
        return cls(float(calibration.get("temperature", 1.0)), float(calibration.get("bias", 0.0)))

    def __str__(self) -> str:
        bias = f", bias {self.bias:.3f}" if self.bias else ""
        return f"temperature {self.temperature:.3f}{bias}"

    def apply(self, probability: float) -> float:
        """Return the confidence (0–1) of a probability of one of two classes."""
        return _sigmoid(_odds(probability) / self.temperature + self.bias) if self._moves(probability) else probability

    def undo(self, confidence: float) -> float:
        """Return the probability (0–1) that has this confidence."""
        return _sigmoid((_odds(confidence) - self.bias) * self.temperature) if self._moves(confidence) else confidence

    def _moves(self, probability: float) -> bool:
        # The log-odds of 0 and 1 are infinite.
        return probability not in (0.0, 1.0) and self != UNSCALED


UNSCALED = Scaling()
"""A head's own probabilities."""


def scaling_of(card: Mapping[str, Any]) -> Scaling:
    """Return the scaling in a model's `nerbert.json`; `UNSCALED` if it is not calibrated."""
    return Scaling.read(card.get("calibration") or {})


def _odds(probability: float) -> float:
    return math.log(probability) - math.log1p(-probability)


def _sigmoid(odds: float) -> float:
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


ConfidencesAt: TypeAlias = Callable[[Scaling], Shares]
"""Scaling → the confidence (0–1) of each predicted entity."""
LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of a temperature: beyond them, every confidence is near 1, or at chance level."""
FOLDS = 5
_PRIOR = 4.0
"""Inverse variance of the prior of ln T and bias. It matters with two entities, but not from 30 sentences on."""
_GRID = np.linspace(math.log(LOWEST), math.log(HIGHEST), 61)
_BIASES = np.linspace(-3.0, 3.0, 25)
_LEAST = 1e-6
"""Minimum distance of confidences from 0 and 1 in the log loss, so that one confident mistake doesn't dominate it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A scaling, and the calibration error `before` and `after` applying it, cross-fitted in `folds` folds."""

    scaling: Scaling
    before: Calibration
    after: Calibration
    folds: int = FOLDS


def cross_fit(
    confidences: ConfidencesAt,
    right: npt.ArrayLike,
    sentences: npt.ArrayLike,
    folds: int = FOLDS,
    *,
    with_bias: bool = False,
) -> Fitted:
    """Fit a scaling on all entities; measure its effect on each fold of sentences, fitted on the other folds."""
    outcomes = np.asarray(right, bool)
    # By sentence, since entities of one sentence are right or wrong together.
    part = np.asarray(sentences, np.int64) % folds
    if not outcomes.size:
        return Fitted(UNSCALED, calibrate([], []), calibrate([], []), folds)
    biases = _BIASES if with_bias else np.zeros(1)

    def loss_of_folds(bias: float, point: float) -> Shares:
        losses = log_loss(confidences(Scaling(math.exp(point), bias)), outcomes)
        return np.bincount(part, losses, folds).astype(np.float64)

    # Computed once for each scaling: (biases, temperatures, folds).
    losses = np.array([[loss_of_folds(bias, point) for point in _GRID] for bias in biases.tolist()])
    total = losses.sum(2)
    after = np.zeros(outcomes.size)
    # Measured on the entities that it was fitted on, a scaling would look too good.
    for fold in np.unique(part):
        in_fold = part == fold
        after[in_fold] = confidences(best_scaling(total - losses[:, :, fold], biases))[in_fold]
    flags: list[bool] = outcomes.tolist()
    before = calibrate(confidences(UNSCALED).tolist(), flags)
    return Fitted(best_scaling(total, biases), before, calibrate(after.tolist(), flags), folds)


def log_loss(confidences: npt.ArrayLike, right: npt.ArrayLike) -> Shares:
    """Return −ln p of each prediction; p is the confidence of a right prediction, and 1 − confidence of a wrong one."""
    sure = np.clip(np.asarray(confidences, float), _LEAST, 1 - _LEAST)
    outcomes = np.asarray(right, bool)
    losses: Shares = -np.log(np.where(outcomes, sure, 1 - sure))
    return losses


def best_scaling(losses: Shares, biases: Shares) -> Scaling:
    """Return the scaling with the lowest loss (biases, temperatures), interpolated; of equals, the first one."""
    # The prior pulls to T = 1 and no bias: two right entities alone would have T as low as allowed.
    loss = losses + _PRIOR * (_GRID**2 + biases[:, None] ** 2) / 2
    bias, point = np.unravel_index(loss.argmin(), loss.shape)
    return Scaling(math.exp(_lowest_point(loss[bias], _GRID)), _lowest_point(loss[:, point], biases))


def _lowest_point(loss: Shares, places: Shares) -> float:
    """Return where the parabola through the lowest loss and its neighbours is lowest."""
    best = int(loss.argmin())
    # No parabola can be laid through a point at the edge.
    if best in (0, places.size - 1):
        return float(places[best])
    before, here, after = loss[best - 1 : best + 2]
    # The divisor is > 0, since argmin returns the first minimum.
    shift = (before - after) / (2 * (before - 2 * here + after))
    return float(places[best] + shift * (places[1] - places[0]))


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
