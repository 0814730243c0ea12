"""What a training minimises: the one thing the loop knows of its task.

The choice: an objective is a sum of terms, and how many there are is known before anything is computed. So a step's
loss is its terms' mean over all micro-batches and processes, however the step is cut. The price: an objective whose
number of terms hangs on the model's output has no place here.
"""

from typing import Any, Protocol

import torch

from nerbert.model.batch import Batch


class Objective(Protocol):
    """Called for each micro-batch in this order; the first two on the CPU, before the batch moves to the model."""

    def prepare(self, batch: Batch, step: int) -> Batch:
        """The batch with what is drawn for this step (masks, negatives), by `coins` of seed, step and window number."""
        ...

    def terms(self, batch: Batch) -> float:
        """What this batch adds to the number that the step's loss is divided by."""
        ...

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """The sum of the terms' losses, a scalar."""
        ...
