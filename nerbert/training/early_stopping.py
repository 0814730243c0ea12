"""Scores a model on held-out examples while it trains, and keeps the best checkpoint: one for all trainings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Score = Callable[[Any], dict[str, float]]
"""Model → figures by name (0–1); the first one chooses the checkpoint: the highest, or the lowest of a loss."""
_NOT_FIGURES = ("step", "epoch", "loss")


class BestCheckpoint:
    """Called by the loop after each epoch; `best` holds the figures of the checkpoint kept, `best_step` its step.

    `save(model, step, before)` keeps a model as the best so far; `before` is the step of the one that was. With
    `only_at`, the model is scored at that step alone, and nothing is kept.
    """

    def __init__(self, score: Score, save: Callable[[Any, int, int], None], only_at: int = 0) -> None:
        self._score, self._save, self._only_at = score, save, only_at
        self.best: dict[str, float] = {}
        self.best_step = 0

    def __call__(self, model: Any, step: int) -> dict[str, float]:
        """The model's figures at this step."""
        if self._only_at and step != self._only_at:
            return {}
        figures = self._score(model)
        if not self._only_at and self._is_better(figures):
            self._save(model, step, self.best_step)
            self.best, self.best_step = figures, step
        return figures

    def take_up(self, entries: Sequence[Mapping[str, float]]) -> None:
        """Know the best of the entries of a log, where a training goes on."""
        for entry in entries:
            figures = {name: value for name, value in entry.items() if name not in _NOT_FIGURES}
            if figures and self._is_better(figures):
                self.best, self.best_step = figures, int(entry["step"])

    def _is_better(self, figures: Mapping[str, float]) -> bool:
        name, value = next(iter(figures.items()))
        sign = -1 if name.endswith("loss") else 1
        return not self.best or sign * value > sign * self.best[name]
