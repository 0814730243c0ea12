"""Windows of pieces into steps, and steps into padded micro-batches.

A step holds a fixed number of windows, drawn at random but sorted by length within pools of some steps, so that little
is padded. Order depends on seed and epoch alone. The price of pools: a window meets others of its length more often;
where all windows would be one pool, it met the same ones in every epoch, which cost about one F1 at 100 sentences. So a
pool is at most a quarter of an epoch, and small sets go in random order. What is padded then is won back by cutting a
step where that pays. Packing, for GPUs, would stand here: `batches_of` alone says how windows become batches.
"""

from collections.abc import Iterator

import numpy as np

from nerbert.model.batch import Batch, batch_of
from nerbert.model.padding import cheapest_cuts, micro_batches, padded
from nerbert.model.windows import Windows, chosen
from nerbert.rng import Array, coins

_POOL_STEPS = 50
_POOLS = 4
"""Pools of an epoch, at least."""
_START_COST = 50
"""What a micro-batch costs on a CPU beside its pieces, in pieces: measured with MiniLM in bf16 (26 ms of CPU)."""


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
