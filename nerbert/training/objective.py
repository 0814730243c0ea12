"""What a training minimises: the one thing the loop knows of its task; and tagging, which most trainings minimise.

An objective is a sum of terms, and their number is known before anything is computed. So a step's loss is its terms'
mean over all micro-batches and processes, however the step is cut. An objective whose number of terms depends on the
model's output does not fit.

Tagging (NER-BERT §3) is the cross-entropy of each word's BIO tag, read from the word's first piece. Its two settings
mean what torch's own `cross_entropy` means by them, so that results can be reproduced elsewhere: a label's own share
counts with that label's weight, the share that smoothing spreads over the classes with the weight of each class.
"""

from typing import Any, Protocol

import torch

from nerbert.model.forward import Batch, logits_at
from nerbert.model.windows import IGNORED


class Objective(Protocol):
    """Called for each micro-batch in this order; the first two on the CPU, before the batch moves to the model."""

    def prepare(self, batch: Batch, step: int) -> Batch:
        """Return the batch with what is drawn for this step (masks, say) by seed, step and window number."""
        ...

    def terms(self, batch: Batch) -> float:
        """Return the batch's share of the number that the step's loss is divided by."""
        ...

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the sum of the terms' losses, a scalar."""
        ...


_OUTSIDE = 0
"""The class of words outside of any entity, as `labels.tag_names` numbers them."""


class Tagging:
    """The objective: a weighted mean over words that have a label; `IGNORED` ones count nothing.

    `label_smoothing` (0–1) is the share of a label that is spread over all classes, `outside_weight` the weight of O.
    """

    def __init__(self, label_smoothing: float = 0.0, outside_weight: float = 1.0) -> None:
        self._smoothing, self._outside = label_smoothing, outside_weight

    def prepare(self, batch: Batch, step: int) -> Batch:
        """Return the batch as it is."""
        return batch

    def terms(self, batch: Batch) -> float:
        """Return the weights of all labelled words together."""
        labelled, outside = int((batch.labels != IGNORED).sum()), int((batch.labels == _OUTSIDE).sum())
        return labelled - outside + self._outside * outside

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the weighted sum of cross-entropies, computed in fp32."""
        logits = logits_at(model, batch).float()
        return torch.nn.functional.cross_entropy(
            logits, batch.labels, self._weights(logits), ignore_index=IGNORED, reduction="sum",
            label_smoothing=self._smoothing,
        )  # fmt: skip

    def _weights(self, logits: torch.Tensor) -> torch.Tensor | None:
        if self._outside == 1:
            return None
        weights = torch.ones(logits.shape[-1], device=logits.device)
        weights[_OUTSIDE] = self._outside
        return weights
