"""A padded micro-batch as tensors: what models read, in training and in tagging."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nerbert.model.padding import Padded
from nerbert.rng import Array

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded micro-batch: `ids` and `mask` are (windows, pieces); `rows`, `columns`, `labels` are (terms,).

    Row and column say where in `ids` something is predicted, `labels` what. `numbers` (windows,) are the windows'
    numbers in the data, so that what is drawn for one doesn't depend on its neighbours.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    labels: torch.Tensor
    numbers: torch.Tensor

    def to(self, device: Any) -> "Batch":
        """The batch with its tensors on `device`."""
        names = ("ids", "mask", "rows", "columns", "labels", "numbers")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def batch_of(batch: Padded, labels: Array = _NONE, numbers: Array = _NONE) -> Batch:
    """A padded micro-batch as tensors, with labels and windows' numbers if there are any."""
    columns = (batch.ids, batch.mask, batch.rows, batch.columns, labels, numbers)
    return Batch(*(torch.from_numpy(each.astype(np.int64)) for each in columns))
