"""The temperature that makes confidences honest: one number, fitted on predicted entities that are right or wrong.

Logits are divided by it before the softmax (Guo et al. 2017, "On Calibration of Modern Neural Networks", §4.2), so a
word's best class and the best path of tags stay, and only how sure the tagger is changes: less so above 1. Guo et al.
fit it by the log loss of classes. Here it is that of entities, each right or wrong with its own confidence, which is
what users see; fitted on words it leaves entities almost twice as far off (docs/results/2026-11-21-calibration.md).

A normal prior on ln T weighs about as much as four entities: it decides where there are few, or where all are right or
all wrong, and is nothing beside a hundred. Confidences are computed once for each temperature of a grid, and a parabola
through the lowest three losses gives the rest; the price is a temperature that is right to about a hundredth.
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
"""Bounds of a temperature: beyond them every confidence is 1, or chance."""
FOLDS = 5
_PRIOR = 4.0
"""One over the variance of ln T's prior. It changed nothing from 30 sentences on; with two entities it does."""
_GRID = np.linspace(math.log(LOWEST), math.log(HIGHEST), 61)
_LEAST = 1e-6
"""How far from 0 and 1 confidences are kept in the log loss: one sure mistake doesn't outweigh all else."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A temperature, and how far confidences were off without it and are with it.

    `after` is measured on entities that the temperature wasn't fitted on: those of each of `folds` parts of the
    sentences have the confidences that the other parts' temperature gives them.
    """

    temperature: float
    before: Calibration
    after: Calibration
    folds: int = FOLDS


def fit_temperature(confidences: ConfidencesAt, right: npt.ArrayLike) -> float:
    """The temperature in [`LOWEST`, `HIGHEST`] at which entities' log loss, with the prior, is least; 1 without any."""
    outcomes = np.asarray(right, bool)
    return _best(_losses(confidences, outcomes)) if outcomes.size else 1.0


def cross_fit(confidences: ConfidencesAt, right: npt.ArrayLike, sentences: npt.ArrayLike, folds: int = FOLDS) -> Fitted:
    """Fit a temperature on all entities, and measure it on those of each part of the sentences, fitted on the others.

    `sentences` are the numbers of the entities' sentences: every `folds`-th is in one part.
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
    """−ln p of each prediction: p is the confidence of what is right, and one minus that of what is wrong."""
    sure, outcomes = np.clip(np.asarray(confidences, float), _LEAST, 1 - _LEAST), np.asarray(right, bool)
    losses: Shares = -np.log(np.where(outcomes, sure, 1 - sure))
    return losses


def check_temperature(value: object) -> float:
    """`value` if it is a temperature; else raise InputError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
        raise InputError(f"temperature = {value!r:.80}: must be a number from {LOWEST} to {HIGHEST}")
    return float(value)


def _losses(confidences: ConfidencesAt, right: npt.NDArray[np.bool_]) -> Shares:
    """(grid, entities): what each entity's confidence costs at each temperature of the grid."""
    return np.stack([log_loss(confidences(math.exp(each)), right) for each in _GRID])


def _best(losses: Shares) -> float:
    """The temperature of the least loss, between the points of the grid too; the lowest of several lows."""
    loss = losses.sum(axis=1) + _PRIOR * _GRID**2 / 2
    best = int(loss.argmin())
    if best in (0, _GRID.size - 1):
        return math.exp(_GRID[best])
    before, here, after = loss[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = (before - after) / (2 * bend) if bend > 0 else 0.0
    return math.exp(_GRID[best] + shift * (_GRID[1] - _GRID[0]))
