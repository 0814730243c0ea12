"""What a pre-training would do and need, before it does: sizes, memory, disk, hours (`nerbert pretrain --dry-run`).

The choice: memory and hours are measured on the real windows and the real model, where it would train, and then
multiplied: no table of models or machines. The price: seconds to a minute; and a machine that does something else
meanwhile, or later, tells another number.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nerbert.encoder.settings import PretrainSettings
from nerbert.model.forward import autocast, precision_on
from nerbert.model.windows import Windows
from nerbert.rng import Array
from nerbert.training.loop import batches_of, steps_of_epoch, total_steps
from nerbert.training.memory import Memory, measure_activations, memory_of, sized_batch
from nerbert.training.objective import Objective
from nerbert.training.resources import available
from nerbert.training.throughput import Speed, measure_speed, unchanged

_SAMPLED = 20_000
"""Windows, at least, of the steps whose padding is counted; steps come in random order."""
_LONGEST = 20
"""Steps with the longest windows, in which the largest micro-batch is looked for too."""
_BEST = 2
"""Models beside the checkpoints: the best one, and the one before it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pre-training would do: `windows` and `pieces` are of the first epoch, copies included.

    `padding` is what it adds to them (0–1); `free` the memory that is there (None: not known), the weights' included.
    `speed` is None where the training wouldn't fit, so that nothing was timed.
    """

    objective: str
    sentences: int
    windows: int
    pieces: int
    longest: int
    padding: float
    classes: int
    held_out: int
    steps: int
    steps_an_epoch: int
    evaluations: int
    pieces_a_score: int
    parameters: int
    trained: int
    memory: Memory
    free: int | None
    disk: int
    device: str
    precision: str
    processes: int
    speed: Speed | None

    @property
    def epochs(self) -> float:
        """Passes over the data."""
        return self.steps / self.steps_an_epoch

    @property
    def pieces_in_all(self) -> int:
        """Pieces that are learnt from, padding not counted."""
        return round(self.pieces * self.epochs)

    @property
    def seconds_a_step(self) -> float | None:
        """Of one step, all processes at once."""
        if self.speed is None:
            return None
        pieces = self.pieces * (1 + self.padding) / self.steps_an_epoch
        return self.speed.training * pieces / self.processes + self.speed.update

    @property
    def seconds_a_score(self) -> float | None:
        """Of scoring the validation sentences once."""
        if self.speed is None:
            return None
        shares = self.processes if self.objective == "tagging" else 1  # each process scores all of `mlm`
        return self.speed.scoring * self.pieces_a_score * (1 + self.padding) / shares

    @property
    def seconds(self) -> float | None:
        """Of all of it; writing checkpoints isn't in it."""
        step, score = self.seconds_a_step, self.seconds_a_score
        return None if step is None or score is None else self.steps * step + self.evaluations * score


def plan_pretraining(
    model: Any, windows: Windows, numbers: Array, settings: PretrainSettings, objective: Objective, pad_id: int,
    held_out: int, device: torch.device, processes: int = 1,
) -> Plan:  # fmt: skip
    """The plan; `numbers` are the windows of the first epoch, `held_out` the sentences that are scored.

    `model` is moved to `device`, and otherwise left as it was. Nothing is written.
    """
    lengths = windows.lengths_of(numbers)
    steps = steps_of_epoch(numbers, lengths, settings.batch_size, settings.seed, 0)
    some = _sample(steps, settings)
    memory, free = _memory(model, windows, steps, settings, objective, device, processes)
    fits = free is None or memory.total <= free
    distinct = np.unique(numbers)
    sentences = len(np.unique(windows.sentences[distinct]))
    total = total_steps(len(numbers), settings)
    return Plan(
        objective=settings.objective, sentences=sentences, windows=len(numbers), pieces=int(lengths.sum()),
        longest=memory.longest, padding=_padding(_shapes(windows, some, settings, device, processes)),
        classes=_classes(model, settings), held_out=held_out, steps=total, steps_an_epoch=len(steps),
        evaluations=math.ceil(total / max(len(steps), int(total / settings.epochs))),
        pieces_a_score=round(held_out * int(windows.lengths_of(distinct).sum()) / sentences),
        parameters=_count(model.parameters()), trained=_count(p for p in model.parameters() if p.requires_grad),
        memory=memory, free=free, disk=_disk(memory, settings), device=device.type,
        precision=precision_on(device.type, settings.precision),
        processes=processes,
        speed=measure_speed(model, windows, some, settings, objective, pad_id, device) if fits else None,
    )  # fmt: skip


def needed_memory(
    model: Any, windows: Windows, numbers: Array, settings: PretrainSettings, objective: Objective,
    device: torch.device, processes: int = 1,
) -> tuple[Memory, int | None]:  # fmt: skip
    """What a process needs, and what is free for it: what it holds already counts as free. For `check_fits`."""
    steps = steps_of_epoch(numbers, windows.lengths_of(numbers), settings.batch_size, settings.seed, 0)
    return _memory(model, windows, steps, settings, objective, device, processes)


def _memory(
    model: Any, windows: Windows, steps: Sequence[Array], settings: PretrainSettings, objective: Objective,
    device: torch.device, processes: int,
) -> tuple[Memory, int | None]:  # fmt: skip
    """`needed_memory` from the first epoch's steps: the largest micro-batch is that of some of them."""
    model.to(device)

    def loss_of(rows: int, length: int) -> torch.Tensor:
        some = sized_batch(windows, rows, length, settings.mlm_probability if settings.objective == "mlm" else None)
        batch = (some if settings.objective == "mlm" else objective.prepare(some, 0)).to(device)
        with autocast(device.type, settings.precision):
            return objective.loss(model, batch)

    by_length = sorted(steps, key=lambda numbers: -int(windows.lengths_of(numbers).max()))
    longest = int(windows.lengths_of(by_length[0]).max())
    with unchanged(model, device):
        model.train()
        kept = measure_activations(model, loss_of, longest)
    some = [*by_length[:_LONGEST], *_sample(steps, settings)]
    shapes = ((rows, length) for rows, length, _ in _shapes(windows, some, settings, device, processes))
    largest = max(shapes, key=lambda shape: kept.bytes(*shape))
    memory, there = memory_of(model, kept, longest, settings, device, processes, largest), available(device)
    if there is None:
        return memory, None
    return memory, memory.weights + (there // processes if device.type == "cpu" else there)


def _sample(steps: Sequence[Array], settings: PretrainSettings) -> Sequence[Array]:
    return steps[: max(1, _SAMPLED // settings.batch_size)]


def _shapes(
    windows: Windows, steps: Sequence[Array], settings: PretrainSettings, device: torch.device, processes: int
) -> Iterator[tuple[int, int, int]]:
    """Windows, padded length and real pieces of the micro-batches of some steps, as the first process cuts them."""
    for numbers in steps:
        for batch in batches_of(windows, numbers[::processes], settings.max_tokens_per_batch, device.type, 0):
            yield *batch.ids.shape, int(batch.mask.sum())


def _padding(shapes: Iterator[tuple[int, int, int]]) -> float:
    """What padding adds to the pieces."""
    rows, lengths, real = np.array(list(shapes)).T
    return float((rows * lengths).sum() / real.sum()) - 1


def _classes(model: Any, settings: PretrainSettings) -> int:
    """What the head chooses from: tags, or pieces of the vocabulary."""
    return int(model.config.vocab_size if settings.objective == "mlm" else model.config.num_labels)


def _count(parameters: Iterator[torch.Tensor]) -> int:
    return sum(each.numel() for each in parameters)


def _disk(memory: Memory, settings: PretrainSettings) -> int:
    """Bytes on the disk at most: the checkpoints that are kept, the one being written, the best models."""
    return (settings.save_total_limit + 1) * (memory.weights + memory.moments) + _BEST * memory.weights
