"""The average of a fine-tuned model's weights with those it started from (WiSE-FT, Wortsman et al. 2022, §3).

A start that already finds entities loses some of that in training, and the fewer sentences it sees, the more of what it
learns is chance. The average keeps both, and costs nothing in use. The share of the trained weights comes from the
training sentences alone: how many sentences and entities there are, and from which share on the average has learnt
them. In training this costs two copies of the weights, and tagging up to 50 sentences six times.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from nerbert.labels import word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.heads import Head
from nerbert.records import Example

_CHECKED = 50
"""Maximum number of training sentences that show what an average has learnt."""
_LEARNT = 0.9
"""Share of the trained model's F1 on its training sentences from which on they count as learnt."""
_HALVINGS = 5
"""Steps of the search for that share, which is exact to 1/32."""
_MORE = 0.6
"""How much more than the share that has learnt the sentences is best for many sentences."""
_SENTENCES, _ENTITIES = 4.0, 8.0
"""Number of sentences, and of entities, with which half of that share is best."""


class WeightAverage:
    """Averages of a model's weights before training with those after it. Create it before training."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._start = _copy_weights(model)
        self._trained = dict[str, torch.Tensor]()

    def end_training(self) -> None:
        """Take the model's weights as the trained ones."""
        self._trained = _copy_weights(self._model)

    @torch.no_grad()
    def use(self, share: float) -> None:
        """Give the model the average in which the trained weights have this `share` (0–1)."""
        for name, weight in self._model.named_parameters():
            torch.lerp(self._start[name].to(weight.device), self._trained[name], share, out=weight)


def _copy_weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def training_f1(head: Head, examples: Sequence[Example]) -> float:
    """Return a head's F1 (0–1) on at most 50 of its training sentences, first on those with entities."""
    # Sentences without entities would show nothing of what is learnt.
    checked = sorted(examples, key=lambda example: not example.spans)[:_CHECKED]
    return score_spans(map(word_spans, checked), head.predict(checked).word_spans(len(checked))).f1


def choose_share(average: WeightAverage, f1: Callable[[], float], sentences: int, entities: int) -> float:
    """Return the share (0–1) of the trained weights for a training on so many sentences with so many entities.

    `f1` returns the F1 of the model, with its current weights, on the training sentences. The rule is one of the best
    on dev of fourteen sets (docs/results/2026-11-30-first-sentences.md). Cross-validation chose worse.
    """
    trust = sentences / (sentences + _SENTENCES) * entities / (entities + _ENTITIES)
    return min(1.0, (_MORE + _learnt_share(average, f1)) * trust)


def _learnt_share(average: WeightAverage, f1: Callable[[], float]) -> float:
    """Return the smallest share with which the average has learnt the training sentences."""
    average.use(1)
    # Measured against what the trained model itself reaches: some sentences can't be learnt.
    enough = _LEARNT * f1()
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        average.use(middle)
        low, high = (low, middle) if f1() >= enough else (middle, high)
    return high
