"""Windows of pieces into steps, and steps into padded micro-batches.

A step holds a fixed number of windows, drawn at random but sorted by length within pools of some steps, so that little
is padded. Order depends on seed and epoch alone. The price of pools: a window meets others of its length more often;
where all windows would be one pool, it met the same ones in every epoch, which cost about one F1 at 100 sentences. So a
pool is at most a quarter of an epoch, and small sets go in random order. What is padded then is won back by cutting a
step where that pays. Packing, for GPUs, would stand here: `batches_of` alone says how windows become batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nerbert.chance import Array, coins
from nerbert.training.padding import Padded, cheapest_cuts, micro_batches, padded
from nerbert.training.windows import Windows, chosen

_POOL_STEPS = 50
_POOLS = 4
"""Pools of an epoch, at least."""
_START_COST = 50
"""What a micro-batch costs on a CPU beside its pieces, in pieces: measured with MiniLM in bf16 (26 ms of CPU)."""


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


def steps_of_epoch(numbers: Array, lengths: Array, batch_size: int, seed: int, epoch: int) -> list[Array]:
    """The windows of each step of an epoch: each of `numbers` once, with `lengths` beside; one step may be smaller."""
    places = np.argsort(coins(seed, f"order of epoch {epoch}", np.arange(len(numbers))), kind="stable")
    pool = batch_size * max(1, min(_POOL_STEPS, len(places) // (_POOLS * batch_size)))
    places = places[np.lexsort((lengths[places], np.arange(len(places)) // pool))]
    steps = [numbers[places[start : start + batch_size]] for start in range(0, len(places), batch_size)]
    return [steps[at] for at in np.argsort(coins(seed, f"steps of epoch {epoch}", np.arange(len(steps))))]


def batches_of(windows: Windows, numbers: Array, max_tokens: int, device: str, pad_id: int) -> Iterator[Batch]:
    """Some windows as micro-batches: on a CPU, where padding costs most, the cheapest cut; else as few as fit."""
    lengths = windows.lengths_of(numbers)
    cut = cheapest_cuts(lengths, max_tokens, _START_COST) if device == "cpu" else micro_batches(lengths, max_tokens)
    for group in cut:
        yield collate(windows, numbers[group], pad_id)


def collate(windows: Windows, numbers: Array, pad_id: int) -> Batch:
    """Pad some windows to the longest and list their first pieces."""
    labels = chosen(windows.labels, windows.word_ends, numbers)[0] if len(windows.labels) else np.empty(0, np.int64)
    return batch_of(padded(windows, numbers, pad_id), labels, numbers)


def batch_of(batch: Padded, labels: Array = _NONE, numbers: Array = _NONE) -> Batch:
    """A padded micro-batch as tensors, with labels and windows' numbers if there are any."""
    columns = (batch.ids, batch.mask, batch.rows, batch.columns, labels, numbers)
    return Batch(*(torch.from_numpy(each.astype(np.int64)) for each in columns))
