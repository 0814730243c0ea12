"""Scores of a model on held-out examples while it trains, and the best checkpoint by them.

Each process tags its share of the examples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nerbert.labels import WordSpan, spans_from_bio, word_spans
from nerbert.metrics.score import collapse_types, score_spans
from nerbert.model.forward import TorchScorer
from nerbert.model.predict import predict
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import ENTITY, Example
from nerbert.training.base_settings import TrainSettings
from nerbert.training.distributed import ProcessGroup

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
        """Return the model's figures at this step."""
        if self._only_at and step != self._only_at:
            return {}
        figures = self._score(model)
        if not self._only_at and self._is_better(figures):
            self._save(model, step, self.best_step)
            self.best, self.best_step = figures, step
        return figures

    def restore(self, entries: Sequence[Mapping[str, float]]) -> None:
        """Restore the best checkpoint from the entries of a log, where a training resumes."""
        for entry in entries:
            figures = {name: value for name, value in entry.items() if name not in _NOT_FIGURES}
            if figures and self._is_better(figures):
                self.best, self.best_step = figures, int(entry["step"])

    def _is_better(self, figures: Mapping[str, float]) -> bool:
        name, value = next(iter(figures.items()))
        sign = -1 if name.endswith("loss") else 1
        return not self.best or sign * value > sign * self.best[name]


Spans = Sequence[Sequence[WordSpan]]
Figures = Callable[[Spans, Spans], dict[str, float]]
"""(gold, found) → figures by name (0–1); the first one chooses the checkpoint."""


def most_tokens(settings: TrainSettings) -> int:
    """Return the largest micro-batch to score: none larger than those that are trained on."""
    return min(settings.max_tokens_per_batch, settings.batch_size * settings.max_length)


class TagScore:
    """Called with a tagging model: its `figures` on the examples."""

    def __init__(
        self, pieces: SubwordTokenizer, examples: Sequence[Example], tags: list[str], settings: TrainSettings,
        figures: Figures, processes: ProcessGroup | None = None,
    ) -> None:  # fmt: skip
        self._pieces, self._tags, self._settings, self._figures = pieces, tags, settings, figures
        self._processes = processes
        self._rank, self._count = (processes.rank, processes.count) if processes else (0, 1)
        self._share = examples[self._rank :: self._count]
        self._gold = [word_spans(example) for example in examples]

    def __call__(self, model: Any) -> dict[str, float]:
        """Return the model's figures."""
        settings = self._settings
        scorer = TorchScorer(model, settings.precision)
        found = predict(scorer, self._pieces, self._share, self._tags, max_tokens=most_tokens(settings))
        return self._figures(self._gold, self._joined([spans_from_bio(each.tags) for each in found]))

    def _joined(self, own: list[list[WordSpan]]) -> list[list[WordSpan]]:
        """Return what all processes found, in the order of the examples."""
        shares = self._processes.gather([own]) if self._processes else [own]
        joined: list[list[WordSpan]] = [[] for _ in self._gold]
        for rank, share in enumerate(shares):
            joined[rank :: self._count] = share
        return joined


def typed_figures(gold: Spans, found: Spans) -> dict[str, float]:
    """Return `typed_f1`, which chooses the checkpoint, and `span_f1`, which ignores types."""
    return {
        "typed_f1": score_spans(map(_typed, gold), map(_typed, found)).f1,
        "span_f1": score_spans(map(collapse_types, gold), map(collapse_types, found)).f1,
    }


def span_figures(gold: Spans, found: Spans) -> dict[str, float]:
    """Return the figures where ENTITY is the only category: spans alone choose."""
    return dict(reversed(typed_figures(gold, found).items()))


def _typed(spans: Sequence[WordSpan]) -> list[WordSpan]:
    return [span for span in spans if span[2] != ENTITY]
