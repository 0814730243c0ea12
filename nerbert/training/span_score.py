"""Scores of a model on held-out examples while it trains; each process tags its share of them."""

from collections.abc import Callable, Sequence
from typing import Any

from nerbert.labels import WordSpan, spans_from_bio, word_spans
from nerbert.metrics import collapse_types, score_spans
from nerbert.model.decode import predict
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.torch_scorer import TorchScorer
from nerbert.records import ENTITY, Example
from nerbert.training.base_settings import TrainSettings
from nerbert.training.distributed import ProcessGroup

Spans = Sequence[Sequence[WordSpan]]
Figures = Callable[[Spans, Spans], dict[str, float]]
"""(gold, found) → figures by name (0–1); the first one chooses the checkpoint."""


def most_tokens(settings: TrainSettings) -> int:
    """The largest micro-batch to score: none larger than those that are trained on."""
    return min(settings.max_tokens_per_batch, settings.batch_size * settings.max_length)


class TagScore:
    """Called with a tagging model: its `figures` on the examples."""

    def __init__(
        self, pieces: SubwordTokenizer, examples: Sequence[Example], tags: list[str], settings: TrainSettings,
        figures: Figures, team: ProcessGroup | None = None,
    ) -> None:  # fmt: skip
        self._pieces, self._tags, self._settings, self._figures = pieces, tags, settings, figures
        self._team, self._rank, self._count = team, team.rank if team else 0, team.count if team else 1
        self._share = examples[self._rank :: self._count]
        self._gold = [word_spans(example) for example in examples]

    def __call__(self, model: Any) -> dict[str, float]:
        """The model's figures."""
        settings = self._settings
        scorer = TorchScorer(model, settings.precision)
        found = predict(scorer, self._pieces, self._share, self._tags, max_tokens=most_tokens(settings))
        return self._figures(self._gold, self._joined([spans_from_bio(each.tags) for each in found]))

    def _joined(self, own: list[list[WordSpan]]) -> list[list[WordSpan]]:
        """What all processes found, in the order of the examples."""
        shares = self._team.gather([own]) if self._team else [own]
        joined: list[list[WordSpan]] = [[] for _ in self._gold]
        for rank, share in enumerate(shares):
            joined[rank :: self._count] = share
        return joined


def typed_figures(gold: Spans, found: Spans) -> dict[str, float]:
    """`typed_f1` chooses the checkpoint, `span_f1` has all types collapsed."""
    return {
        "typed_f1": score_spans(map(_typed, gold), map(_typed, found)).f1,
        "span_f1": score_spans(map(collapse_types, gold), map(collapse_types, found)).f1,
    }


def span_figures(gold: Spans, found: Spans) -> dict[str, float]:
    """The figures where ENTITY is the only category: spans alone choose."""
    return dict(reversed(typed_figures(gold, found).items()))


def _typed(spans: Sequence[WordSpan]) -> list[WordSpan]:
    return [span for span in spans if span[2] != ENTITY]
