"""Fit the temperature that calibrates confidences: one number, fitted on predicted entities, right and wrong.

Logits are divided by it before the softmax (Guo et al. 2017, "On Calibration of Modern Neural Networks", §4.2). A
word's best class and the best path of tags do not change, only the tagger's confidence, which falls above 1. Guo et al.
fit it by the log loss of classes. Here it is the log loss of entities, each right or wrong with its own confidence,
because users see entities; fitted on words, it leaves entities almost twice as far off
(docs/results/2026-11-21-calibration.md).

A normal prior on ln T weighs about as much as four entities. It decides if there are few entities, or if all are right
or all wrong, and is negligible beside a hundred. Confidences are computed once for each temperature of a grid, and a
parabola through the lowest three losses interpolates. The cost: the temperature is accurate to about a hundredth.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError
from nerbert.metrics.calibration import Calibration, calibrate

Shares: TypeAlias = npt.NDArray[np.float64]
ConfidencesAt: TypeAlias = Callable[[float], Shares]
"""Temperature → the confidence (0–1) of each predicted entity."""
LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of a temperature; beyond them every confidence is 1, or chance."""
FOLDS = 5
_PRIOR = 4.0
"""Inverse variance of ln T's prior. It had no effect from 30 sentences on; with two entities it does."""
_GRID = np.linspace(math.log(LOWEST), math.log(HIGHEST), 61)
_LEAST = 1e-6
"""Minimum distance of confidences from 0 and 1 in the log loss, so that one confident mistake cannot dominate."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A temperature, and the calibration without and with it.

    `after` is measured by cross-validation: each of `folds` parts of the sentences uses the temperature that was fitted
    on the other parts.
    """

    temperature: float
    before: Calibration
    after: Calibration
    folds: int = FOLDS


def fit_temperature(confidences: ConfidencesAt, right: npt.ArrayLike) -> float:
    """Return the temperature in [`LOWEST`, `HIGHEST`] that minimises entities' log loss with the prior.

    Return 1 without entities.
    """
    outcomes = np.asarray(right, bool)
    return _best(_losses(confidences, outcomes)) if outcomes.size else 1.0


def cross_fit(confidences: ConfidencesAt, right: npt.ArrayLike, sentences: npt.ArrayLike, folds: int = FOLDS) -> Fitted:
    """Fit a temperature on all entities, and measure it by cross-validation over sentences.

    `sentences` are the numbers of the entities' sentences; every `folds`-th sentence is in the same part.
    """
    outcomes, part = np.asarray(right, bool), np.asarray(sentences, np.int64) % folds
    if outcomes.shape != part.shape:
        raise InputError(f"{outcomes.size} outcomes, {part.size} sentences: give one for each entity")
    if not outcomes.size:
        return Fitted(1.0, calibrate([], []), calibrate([], []), folds)
    losses, after = _losses(confidences, outcomes), np.zeros(outcomes.size)
    for fold in np.unique(part):
        own = part == fold
        after[own] = confidences(_best(losses[:, ~own]))[own]
    known: list[bool] = outcomes.tolist()
    before = calibrate(confidences(1.0).tolist(), known)
    return Fitted(_best(losses), before, calibrate(after.tolist(), known), folds)


def log_loss(confidences: npt.ArrayLike, right: npt.ArrayLike) -> Shares:
    """Return −ln p of each prediction; p is the confidence if it is right, and one minus that if it is wrong."""
    sure, outcomes = np.clip(np.asarray(confidences, float), _LEAST, 1 - _LEAST), np.asarray(right, bool)
    losses: Shares = -np.log(np.where(outcomes, sure, 1 - sure))
    return losses


def check_temperature(value: object) -> float:
    """Return `value` if it is a temperature; else raise InputError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
        raise InputError(f"temperature = {value!r:.80}: must be a number from {LOWEST} to {HIGHEST}")
    return float(value)


def _losses(confidences: ConfidencesAt, right: npt.NDArray[np.bool_]) -> Shares:
    """Return (grid, entities): the loss of each entity's confidence at each temperature of the grid."""
    return np.stack([log_loss(confidences(math.exp(each)), right) for each in _GRID])


def _best(losses: Shares) -> float:
    """Return the temperature of the least loss, interpolated between grid points; of several minima the lowest."""
    loss = losses.sum(axis=1) + _PRIOR * _GRID**2 / 2
    best = int(loss.argmin())
    if best in (0, _GRID.size - 1):
        return math.exp(_GRID[best])
    before, here, after = loss[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = (before - after) / (2 * bend) if bend > 0 else 0.0
    return math.exp(_GRID[best] + shift * (_GRID[1] - _GRID[0]))
