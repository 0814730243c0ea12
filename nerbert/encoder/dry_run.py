"""`nerbert pretrain --dry-run`: run a few real steps and report what the whole pre-training would take.

The largest micro-batches are run as they are, for the peak of memory. Ordinary steps are cut down to one micro-batch a
process and timed. The price: seconds to minutes; and hours are multiplied from a few steps on this machine as it is
now. Writing checkpoints isn't counted.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerbert.encoder.prepare import Preparation, begin
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.forward import Batch, autocast, precision_on
from nerbert.rng import Array
from nerbert.training.distributed import ProcessGroup
from nerbert.training.loop import batches_of, make_optimizer, steps_of_epoch, total_steps, train_step
from nerbert.training.memory import out_of_memory, peak_memory

_SAMPLED = 10_000
"""Windows, at least, of the steps whose padding is counted; steps come in random order."""
_LONGEST = 20
"""Steps with the longest windows, in which the largest micro-batches are looked for too."""
_TIMED = 3
"""Ordinary steps that are timed, after one that isn't."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a pre-training learns and would take; sentences, windows and tokens are of the first epoch, copies included.

    `padding` is its share of a batch (0–1), `scored_tokens` are those of one evaluation, `peak_memory` is that of the
    first process. Tokens a second are of all processes and don't count padding.
    """

    learnt: str
    sentences: int
    windows: int
    tokens: int
    longest: int
    padding: float
    held_out: int
    scored_tokens: int
    evaluations: int
    steps: int
    steps_per_epoch: int
    parameters: int
    trained: int
    device: str
    precision: str
    processes: int
    peak_memory: int
    training_speed: float
    scoring_speed: float

    @property
    def epochs(self) -> float:
        """Return the passes over the data."""
        return self.steps / self.steps_per_epoch

    @property
    def total_tokens(self) -> int:
        """Return the tokens of all steps, padding not counted."""
        return round(self.tokens * self.epochs)

    @property
    def seconds(self) -> float:
        """Return the time of all steps and evaluations."""
        return self.total_tokens / self.training_speed + self.evaluations * self.scored_tokens / self.scoring_speed


def dry_run(settings: PretrainSettings, output: Path, *, overwrite: bool = False) -> DryRun:
    """Run a few steps of what `pretrain` would do and return its figures; write nothing but the cache of windows."""
    processes, work = begin(settings, output, overwrite=overwrite)
    with out_of_memory(settings):
        figures = measure(work, settings, processes)
    processes.end()
    return figures


def measure(work: Preparation, settings: PretrainSettings, processes: ProcessGroup) -> DryRun:
    """Return the figures of a prepared pre-training; its model is moved to the device and takes steps of rate 0."""
    windows, numbers = work.data.windows, work.data.numbers_of(0)
    lengths = windows.lengths_of(numbers)
    steps = steps_of_epoch(numbers, lengths, settings.batch_size, settings.seed, 0)
    sample = steps[: max(1, _SAMPLED // settings.batch_size)]
    longest = sorted(steps, key=lambda step: -int(windows.lengths_of(step).max()))[:_LONGEST]
    batches, long = (list(_micro_batches(work, some, settings, processes)) for some in (sample, longest))
    distinct = np.unique(numbers)
    sentences, total = len(np.unique(windows.sentences[distinct])), total_steps(len(numbers), settings)
    trained = [each.numel() for each in work.model.parameters() if each.requires_grad]
    training, scoring = _Steps(work, settings, processes).speeds(steps, _largest([*batches, *long]))
    return DryRun(
        learnt=work.objective.describe().learnt,
        sentences=sentences, windows=len(numbers), tokens=int(lengths.sum()), longest=int(lengths.max()),
        padding=1 - sum(int(each.mask.sum()) for each in batches) / sum(each.ids.numel() for each in batches),
        held_out=work.held_out, scored_tokens=round(work.held_out * windows.lengths_of(distinct).sum() / sentences),
        evaluations=math.ceil(total / max(len(steps), int(total / settings.epochs))), steps=total,
        steps_per_epoch=len(steps), parameters=sum(each.numel() for each in work.model.parameters()),
        trained=sum(trained), device=processes.device.type,
        precision=precision_on(processes.device.type, settings.precision), processes=processes.count,
        peak_memory=peak_memory(processes.device), training_speed=training, scoring_speed=scoring,
    )  # fmt: skip


def _micro_batches(
    work: Preparation, steps: Sequence[Array], settings: PretrainSettings, processes: ProcessGroup
) -> Iterator[Batch]:
    """Yield the micro-batches of some steps, as the first process cuts them."""
    for step in steps:
        share = step[:: processes.count]
        yield from batches_of(
            work.data.windows, share, settings.max_tokens_per_batch, processes.device.type, work.data.pad_id
        )


def _largest(batches: Sequence[Batch]) -> list[Array]:
    """Return the windows of the micro-batch with the most tokens and of that with the longest windows."""
    most = max(batches, key=lambda each: each.ids.numel())
    longest = max(batches, key=lambda each: (each.ids.shape[1], each.ids.numel()))
    return [each.numbers.numpy() for each in ((most,) if most is longest else (most, longest))]


class _Steps:
    """Real steps of a training, one after the other, on all processes."""

    def __init__(self, work: Preparation, settings: PretrainSettings, processes: ProcessGroup) -> None:
        self._work, self._settings, self._processes, self._device = work, settings, processes, processes.device
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._model = work.model.to(self._device).train()
        self._optimizer = make_optimizer(self._model, settings, self._device.type)
        self._count = 0

    def speeds(self, steps: Sequence[Array], largest: Sequence[Array]) -> tuple[float, float]:
        """Run the largest micro-batches and ordinary ones; return tokens a second, of training and of scoring."""
        first, *ordinary = [self._cut(steps[at * len(steps) // (_TIMED + 1)]) for at in range(_TIMED + 1)]
        for numbers in (first, *(np.repeat(each, self._processes.count) for each in largest)):
            self._train(numbers)  # the first step makes AdamW's moments, so that the largest ones meet them
        tokens = sum(int(self._work.data.windows.lengths_of(each).sum()) for each in ordinary)
        training = self._seconds(self._train, ordinary)
        self._model.eval()
        scoring = self._seconds(self._score, ordinary)
        return tokens / training, tokens / scoring

    def _cut(self, step: Array) -> Array:
        """Return every n-th window of a step, as many as make about one micro-batch a process."""
        most = self._settings.max_tokens_per_batch * self._processes.count
        return step[:: math.ceil(self._work.data.windows.lengths_of(step).sum() / most)]

    def _train(self, numbers: Array) -> None:
        self._count += 1
        train_step(
            self._model, self._work.data, numbers, self._work.objective, self._optimizer, 0.0, self._settings,
            self._processes, self._count,
        )  # fmt: skip

    def _score(self, numbers: Array) -> None:
        objective = self._work.objective
        shared = objective.begin_step(self._work.data.windows, numbers, 0)
        for batch in _micro_batches(self._work, [numbers], self._settings, self._processes):
            with torch.inference_mode(), autocast(self._device.type, self._settings.precision):
                objective.loss(self._model, objective.prepare(batch, 0, shared).to(self._device))

    def _seconds(self, run: Any, batches: Sequence[Array]) -> float:
        """Return the time of running all of them, until the device is done."""
        self._wait()
        start = time.perf_counter()
        for each in batches:
            run(each)
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
