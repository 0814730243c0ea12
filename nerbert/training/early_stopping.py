"""Scores of a model on held-out examples while it trains, and the best checkpoint by them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.score import collapse_types, score_spans
from nerbert.model.heads import Head
from nerbert.records import ENTITY, Example
from nerbert.training.base_settings import TrainSettings
from nerbert.training.distributed import ProcessGroup


@dataclass(frozen=True, slots=True)
class CheckpointScore:
    """What a model's score is: the `value` that chooses the checkpoint, and `figures` by name for logs and cards.

    The log's own `step`, `epoch` and `loss` (of training) win over figures of these names.
    """

    value: float
    higher_is_better: bool
    figures: dict[str, float]

    def beats(self, other: "CheckpointScore | None") -> bool:
        """Return whether it is better than another one; a tie goes to the other."""
        if other is None:
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value


class BestCheckpoint:
    """Called by the loop after each epoch; `best` is the score of the checkpoint kept, `best_step` its step.

    `save(model, step, before)` keeps a model as the best so far; `before` is the step of the one that was. With
    `only_at`, the model is scored at that step alone, and nothing is kept.
    """

    def __init__(
        self, score: Callable[[Any], CheckpointScore], save: Callable[[Any, int, int], None], only_at: int = 0
    ) -> None:
        self._score, self._save, self._only_at = score, save, only_at
        self.best: CheckpointScore | None = None
        self.best_step = 0

    @property
    def figures(self) -> dict[str, float]:
        """Return the figures of the checkpoint kept; none if there is none."""
        return self.best.figures if self.best else {}

    def __call__(self, model: Any, step: int) -> dict[str, float]:
        """Return the model's figures at this step."""
        if self._only_at and step != self._only_at:
            return {}
        score = self._score(model)
        if not self._only_at and score.beats(self.best):
            self._save(model, step, self.best_step)
            self.best, self.best_step = score, step
        return score.figures

    def state(self) -> dict[str, Any]:
        """Return which checkpoint is the best so far, as JSON."""
        best = self.best
        if best is None:
            return {}
        value, higher = float(best.value), bool(best.higher_is_better)
        return {"step": self.best_step, "value": value, "higher": higher, "figures": best.figures}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the best checkpoint from `state`, where a training resumes."""
        if state:
            self.best_step = state["step"]
            self.best = CheckpointScore(state["value"], state["higher"], state["figures"])


Spans = Sequence[Sequence[WordSpan]]
SpanFigures = Callable[[Spans, Spans], dict[str, float]]
"""(gold, found) → figures by name (0–1), higher is better."""


def most_tokens(settings: TrainSettings) -> int:
    """Return the largest micro-batch to score: none larger than those that are trained on."""
    return min(settings.max_tokens_per_batch, settings.batch_size * settings.max_length)


class SpanScore:
    """Scores the entities that a model's head finds in examples; each process tags its share of them.

    `chooses` is the name of the figure that is the score's value.
    """

    def __init__(
        self, head: Callable[[Any], Head], examples: Sequence[Example], figures: SpanFigures, chooses: str,
        processes: ProcessGroup | None = None,
    ) -> None:  # fmt: skip
        self._head, self._figures, self._chooses, self._processes = head, figures, chooses, processes
        self._rank, self._count = (processes.rank, processes.count) if processes else (0, 1)
        self._share = examples[self._rank :: self._count]
        self._gold = [word_spans(example) for example in examples]

    def __call__(self, model: Any) -> CheckpointScore:
        """Return the model's score."""
        found = self._head(model).predict(self._share).word_spans(len(self._share))
        figures = self._figures(self._gold, self._joined(found))
        return CheckpointScore(figures[self._chooses], True, figures)

    def _joined(self, own: list[list[WordSpan]]) -> list[list[WordSpan]]:
        """Return what all processes found, in the order of the examples."""
        shares = self._processes.gather([own]) if self._processes else [own]
        joined: list[list[WordSpan]] = [[] for _ in self._gold]
        for rank, share in enumerate(shares):
            joined[rank :: self._count] = share
        return joined


def typed_figures(gold: Spans, found: Spans) -> dict[str, float]:
    """Return `typed_f1`, of entities with a type, and `span_f1`, which ignores types."""
    return {
        "typed_f1": score_spans(map(_typed, gold), map(_typed, found)).f1,
        "span_f1": score_spans(map(collapse_types, gold), map(collapse_types, found)).f1,
    }


def _typed(spans: Sequence[WordSpan]) -> list[WordSpan]:
    return [span for span in spans if span[2] != ENTITY]
