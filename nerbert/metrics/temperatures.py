"""Temperatures by label: one for all, and others for labels whose confidences are too high or low in another measure.

A label has its own only if there are enough entities of it, and if all together are no worse than one for all on
entities that they weren't fitted on. They are compared by the calibration error of each label: that of all entities
together can be low where one label's confidences are too high and another's too low. Cost: confidences of two labels
with the same logits differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any

import numpy as np
import numpy.typing as npt

from nerbert.metrics.calibration import (
    FOLDS,
    HIGHEST,
    LOWEST,
    Shares,
    best_temperature,
    calibrate,
    temperature_losses,
)

ENOUGH = 100
"""Entities of a label from which it may have a temperature of its own."""
_PULL = 20.0
"""One over the variance of ln T's prior around the temperature of all labels: it weighs about as much as so many
entities."""


@dataclass(frozen=True, slots=True)
class Temperatures:
    """What logits are divided by: the temperature of a label, else the `pooled` one of all others."""

    pooled: float = 1.0
    by_label: Mapping[str, float] = field(default_factory=dict)

    def of(self, label: str) -> float:
        """Return the temperature of a label."""
        return self.by_label.get(label, self.pooled)

    def times(self, factor: float) -> "Temperatures":
        """Return all of them multiplied by a factor, within the bounds of temperatures."""
        return Temperatures(_bounded(self.pooled * factor), {a: _bounded(b * factor) for a, b in self.by_label.items()})

    def rounded(self, places: int) -> "Temperatures":
        """Return all of them rounded, as cards have them."""
        return Temperatures(round(self.pooled, places), {a: round(b, places) for a, b in self.by_label.items()})

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> "Temperatures":
        """Return those of a model's `nerbert.json`."""
        own = card.get("calibration") or {}
        return cls(float(own.get("temperature", 1.0)), own.get("temperatures") or {})

    def as_json(self) -> dict[str, Any]:
        """Return them as a card's `calibration` has them."""
        return {"temperature": self.pooled} | ({"temperatures": dict(self.by_label)} if self.by_label else {})


def _bounded(temperature: float) -> float:
    return min(max(temperature, LOWEST), HIGHEST)


@dataclass(frozen=True, slots=True)
class FittedByLabel:
    """Temperatures by label, and the calibration error `after` them.

    `by_label` is the mean error of the labels, weighted by their entities, and `pooled` the same with one temperature
    for all (all 0–1). Errors are of entities that nothing was fitted on: each part of the sentences has the others'
    temperatures.
    """

    temperatures: Temperatures
    after: float
    by_label: float
    pooled: float

    @property
    def is_kept(self) -> bool:
        """Return whether any label has its own, and the labels' error is no larger than with one for all."""
        return bool(self.temperatures.by_label) and self.by_label <= self.pooled


def fit_by_label(
    confidences: Callable[[float | Temperatures], Shares], right: npt.ArrayLike, sentences: npt.ArrayLike,
    labels: Sequence[str], folds: int = FOLDS,
) -> FittedByLabel:  # fmt: skip
    """Fit a temperature to all entities, and one to each label that has `ENOUGH`, pulled towards that of all.

    The arguments are as in `cross_fit`, with the label of each entity.
    """
    outcomes, part = np.asarray(right, bool), np.asarray(sentences, np.int64) % folds
    kinds = np.asarray(labels, object)
    enough = [name for name in sorted(set(labels)) if np.count_nonzero(kinds == name) >= ENOUGH]
    if not enough:
        return FittedByLabel(Temperatures(), 0.0, 0.0, 0.0)
    losses = temperature_losses(confidences, outcomes)

    def fitted(on: npt.NDArray[np.bool_]) -> Temperatures:
        pooled = best_temperature(losses[:, on])
        own = {name: best_temperature(losses[:, on & (kinds == name)], _PULL, pooled) for name in enough}
        return Temperatures(pooled, own)

    by_label, pooled = np.zeros(outcomes.size), np.zeros(outcomes.size)
    for fold in np.unique(part):
        own, found = part == fold, fitted(part != fold)
        by_label[own], pooled[own] = confidences(found)[own], confidences(found.pooled)[own]
    after = calibrate(by_label.tolist(), outcomes.tolist()).ece
    errors = (_error_by_label(each, outcomes, kinds) for each in (by_label, pooled))
    return FittedByLabel(fitted(np.ones(outcomes.size, bool)), after, *errors)


def _error_by_label(confidences: Shares, right: npt.NDArray[np.bool_], labels: npt.NDArray[np.object_]) -> float:
    """Return the mean calibration error of the labels, weighted by their entities."""
    parts = (labels == name for name in set(labels.tolist()))
    return fsum(calibrate(confidences[each].tolist(), right[each].tolist()).ece * each.mean() for each in parts)
