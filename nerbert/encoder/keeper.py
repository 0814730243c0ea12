"""Scores a model on held-out examples while it trains, and keeps the best checkpoint: one for all trainings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nerbert.encoder.folder import save_model
from nerbert.encoder.pieces import Pieces
from nerbert.encoder.predict import predict
from nerbert.labels import WordSpan, spans_from_bio, word_spans
from nerbert.records import Example
from nerbert.training.settings import TrainSettings

Figures = Callable[[Sequence[Sequence[WordSpan]], Sequence[Sequence[WordSpan]]], dict[str, float]]
"""(gold, found) → figures by name (0–1); the first one chooses the checkpoint."""


class Keeper:
    """Called by the loop after each epoch; `best` holds the figures of the checkpoint kept, `best_step` its step.

    With `only_at`, the model is scored at that step alone, and no checkpoint is kept.
    """

    def __init__(
        self, folder: Path, pieces: Pieces, examples: Sequence[Example], tags: list[str], settings: TrainSettings,
        figures: Figures, only_at: int = 0,
    ) -> None:  # fmt: skip
        self.folder, self.pieces, self.examples, self.tags, self.settings = folder, pieces, examples, tags, settings
        self.figures, self.only_at = figures, only_at
        self.gold = [word_spans(example) for example in examples]
        self.best: dict[str, float] = {}
        self.best_step = 0

    def __call__(self, model: Any, step: int) -> dict[str, float]:
        """The model's figures at this step."""
        if self.only_at and step != self.only_at:
            return {}
        found = predict(model, self.pieces, self.examples, self.tags, max_tokens=self.settings.micro_batch_tokens,
                        precision=self.settings.precision)  # fmt: skip
        figures = self.figures(self.gold, [spans_from_bio(each.tags) for each in found])
        if not self.only_at and _first(figures) > _first(self.best):
            self.best, self.best_step = figures, step
            save_model(self.folder, model, self.pieces.tokenizer)
        return figures


def _first(figures: dict[str, float]) -> float:
    return next(iter(figures.values()), -1.0)
