"""A torch model as a scorer: the back end that trains, and the reference of all others."""

from typing import Any

import numpy as np
import torch

from nerbert.model.batch import batch_of
from nerbert.model.heads import logits_at
from nerbert.model.padding import Padded
from nerbert.model.precision import autocast
from nerbert.rng import Array


class TorchScorer:
    """Logits of a `transformers` token-classification model where it lies, without gradients or dropout.

    `precision` is as in the settings: `bf16` (weights stay as they are), `fp32` or `auto`.
    """

    def __init__(self, model: Any, precision: str = "auto") -> None:
        self._model, self._precision = model, precision
        self._device = next(model.parameters()).device

    def __call__(self, batch: Padded) -> Array:
        """(terms, classes) fp32."""
        self._model.eval()
        with torch.inference_mode(), autocast(self._device.type, self._precision):
            logits = logits_at(self._model, batch_of(batch).to(self._device)).float()
        found: Array = logits.cpu().numpy().astype(np.float32, copy=False)
        return found
