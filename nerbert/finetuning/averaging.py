"""The average of a fine-tuned model's weights with those it started from (WiSE-FT, Wortsman et al. 2022, §3).

A start that already finds entities loses some of that in training, and the fewer sentences it sees, the more of what it
learns is chance. The average keeps both, and costs nothing in use. In training it costs a copy of the weights.
"""

from collections.abc import Sequence
from typing import Any

import torch

from nerbert.model.fresh import head_of

_HALF = 12.0
"""Number of sentences from which the trained weights and those of the start count the same: the best on dev of eleven
sets (docs/results/2026-11-30-first-sentences.md)."""


def usual_share(sentences: int) -> float:
    """Return the default share (0–1) of the trained weights, n / (n + 12) for n sentences."""
    return sentences / (sentences + _HALF)


class StartWeights:
    """A copy of a model's weights before training.

    `new_rows` are rows of the head's last layer that have random weights before training: they are never averaged.
    """

    def __init__(self, model: Any, new_rows: Sequence[int] = ()) -> None:
        self._weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self._last, self._new_rows = head_of(model)[0] if new_rows else "", torch.tensor(new_rows)

    @torch.no_grad()
    def average_with(self, model: Any, share: float) -> None:
        """Replace the weights of the trained model by the average, in which they have this `share` (0–1)."""
        for name, trained in model.named_parameters():
            start = self._weights[name].to(trained.device)
            if self._last and name.startswith(f"{self._last}."):
                new = self._new_rows.to(trained.device)
                start = start.index_copy(0, new, trained[new])
            trained.lerp_(start, 1 - share)
