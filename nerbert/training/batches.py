"""Training data: the sources a command offers its objective, the order of an epoch's windows, and micro-batches.

Windows of similar length share a step. Cost: the windows of a step are neighbours in length, not a random sample.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nerbert.errors import InputError
from nerbert.model.forward import Batch, batch_of
from nerbert.model.windows import START_COST, Windows, cheapest_cuts, micro_batches, pad_windows, take_column
from nerbert.rng import Array, uniforms
from nerbert.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled windows; `numbers_of(epoch)` returns the numbers of an epoch's windows, repeated for copies."""

    windows: Windows
    numbers_of: Callable[[int], Array]
    pad_id: int

    @classmethod
    def each_once(cls, windows: Windows, pad_id: int) -> "TrainingData":
        """Return data that have each window once in every epoch."""
        return cls(windows, lambda _: np.arange(len(windows)), pad_id)

    def steps(self, settings: TrainSettings, after: int, total: int) -> Iterator[tuple[int, Array]]:
        """Yield the epoch and the windows of each step after the first `after` steps, up to step `total`."""
        epoch = done = 0
        while done < total:
            numbers = self.numbers_of(epoch)
            if not len(numbers):
                raise InputError("nothing to train on: no sentence has a word that the tokenizer knows")
            if done + math.ceil(len(numbers) / settings.batch_size) > after:
                lengths = self.windows.lengths_of(numbers)
                steps = steps_of_epoch(numbers, lengths, settings.batch_size, settings.seed, epoch)
                yield from ((epoch, step) for step in steps[max(0, after - done) : total - done])
            done += math.ceil(len(numbers) / settings.batch_size)
            epoch += 1


_POOL = 256
"""Windows that are cut into micro-batches together for scoring: the time for cutting grows with their number."""
_POOL_STEPS = 50
_POOLS = 4
"""Minimum number of pools in an epoch."""


def steps_of_epoch(numbers: Array, lengths: Array, batch_size: int, seed: int, epoch: int) -> list[Array]:
    """Return the windows of each step of an epoch: each of `numbers` once; one step may be smaller."""
    # A random order first, then by length within pools of many steps: lengths are similar
    # in a step, and which windows meet changes with the epoch.
    order = np.argsort(uniforms(seed, f"order of epoch {epoch}", np.arange(len(numbers))), kind="stable")
    pool = batch_size * max(1, min(_POOL_STEPS, len(order) // (_POOLS * batch_size)))
    order = order[np.lexsort((lengths[order], np.arange(len(order)) // pool))]
    steps = [numbers[order[start : start + batch_size]] for start in range(0, len(order), batch_size)]
    # Steps in random order, else each pool would go from short to long.
    return [steps[at] for at in np.argsort(uniforms(seed, f"steps of epoch {epoch}", np.arange(len(steps))))]


def batches_of(
    windows: Windows, numbers: Array, max_tokens: int, device: str, pad_id: int, start_cost: int = START_COST
) -> Iterator[Batch]:
    """Yield windows as micro-batches: on a CPU in the cheapest cut, otherwise in as few as fit."""
    lengths = windows.lengths_of(numbers)
    # On a CPU each padded piece costs time; a GPU is fastest with few large batches.
    cut = cheapest_cuts(lengths, max_tokens, start_cost) if device == "cpu" else micro_batches(lengths, max_tokens)
    for group in cut:
        yield collate(windows, numbers[group], pad_id)


def batches_to_read(
    windows: Windows, numbers: Array, settings: TrainSettings, device: str, pad_id: int
) -> Iterator[Batch]:
    """Yield many windows as micro-batches, no larger than those of training."""
    for start in range(0, len(numbers), _POOL):
        yield from batches_of(windows, numbers[start : start + _POOL], most_tokens(settings), device, pad_id)


def most_tokens(settings: TrainSettings) -> int:
    """Return the maximum size of a micro-batch for scoring, in tokens: at most that of training."""
    return min(settings.max_tokens_per_batch, settings.batch_size * settings.max_length)


def collate(windows: Windows, numbers: Array, pad_id: int) -> Batch:
    """Pad windows to the longest one and list the first subwords of their words."""
    labels = (
        take_column(windows.labels, windows.word_ends, numbers)[0] if len(windows.labels) else np.empty(0, np.int64)
    )
    return batch_of(pad_windows(windows, numbers, pad_id), labels, numbers)


class Sources(Protocol):
    """The sources that a command offers its objective; all raise SettingsError for settings that don't fit.

    Data have the entity `types`, the `held_out()` sentences, and `windows(pieces, labels)`, returning `TrainingData`;
    with types known by name also the table of `concepts` and the `concept_texts`. Pre-training also reads `texts()`.
    """

    @property
    def settings(self) -> TrainSettings:
        """Return the settings of the training."""

    def open_labelled(self) -> Any:
        """Return sentences whose entities have one of a fixed set of types."""

    def open_unlabelled(self, texts: Sequence[Path] = ()) -> Any:
        """Return the same sentences, or `texts` instead, for an objective that doesn't use labels."""

    def open_named(self, *, descriptions: bool = False) -> Any:
        """Return texts whose entity types are known by name, with descriptions of the types if `descriptions`."""
