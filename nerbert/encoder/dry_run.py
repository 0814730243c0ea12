"""`nerbert pretrain --dry-run`: run a few steps and one evaluation, and report what the whole would take."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nerbert import process
from nerbert.encoder.pretrain import Preparation, begin
from nerbert.encoder.settings import PretrainSettings
from nerbert.executors import Executor
from nerbert.model.forward import precision_on
from nerbert.rng import Array
from nerbert.training.batches import steps_of_epoch
from nerbert.training.distributed import ProcessGroup, explain_out_of_memory
from nerbert.training.loop import evaluation_every, make_optimizer, total_steps
from nerbert.training.step import train_step

_TIMED = 3
"""Steps that are timed."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a pre-training would take: `tokens` of all its steps, padding not counted, and seconds.

    `peak_memory` is that of the first process, in bytes; `speed` is in tokens a second of all processes; `scoring` are
    the seconds of one evaluation. `max_tokens_per_batch` is 0, or, where memory ran out, the size that fitted.
    """

    steps: int
    tokens: int
    evaluations: int
    parameters: int
    trained: int
    device: str
    precision: str
    processes: int
    peak_memory: int
    speed: float
    scoring: float
    max_tokens_per_batch: int = 0

    @property
    def seconds(self) -> float:
        """Return the time of all steps and evaluations."""
        return self.tokens / self.speed + self.evaluations * self.scoring


def dry_run(
    settings: PretrainSettings, output: Path, *, overwrite: bool = False, executor: Executor | None = None
) -> DryRun:
    """Run a few steps of `pretrain` and return its figures; write nothing but the cache of windows."""
    processes, work = begin(settings, output, overwrite=overwrite, executor=executor)
    figures = measure(work, settings, processes)
    processes.end()
    return figures


@explain_out_of_memory()
def measure(work: Preparation, settings: PretrainSettings, processes: ProcessGroup) -> DryRun:
    """Return the figures of a prepared pre-training; its model is moved to the device and takes steps of rate 0."""
    windows, numbers, device = work.data.windows, work.data.numbers_of(0), processes.device
    lengths = windows.lengths_of(numbers)
    steps = steps_of_epoch(numbers, lengths, settings.batch_size, settings.seed, 0)
    model = work.model.to(device).train()
    optimizer = make_optimizer(model, settings, device.type, work.objective)

    fitted = list[float]()

    def take(*some: Array) -> None:
        for number, step in enumerate(some, 1):
            done = train_step(model, work.data, step, work.objective, optimizer, 0.0, settings, processes, number)
            fitted.extend(done[name] for name in done if name == "max_tokens_per_batch")

    longest = max(steps, key=lambda step: int(windows.lengths_of(step).max()))
    take(longest, longest)
    timed = [steps[place * len(steps) // _TIMED] for place in range(_TIMED)]
    training = _seconds(device, lambda: take(*timed))
    model.eval()
    scoring = _seconds(device, lambda: work.score(model))
    total = total_steps(len(numbers), settings)
    sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return DryRun(
        steps=total, tokens=round(int(lengths.sum()) * total / len(steps)),
        evaluations=math.ceil(total / evaluation_every(len(numbers), settings, settings.evaluation_steps)),
        parameters=sum(size for size, _ in sizes), trained=sum(size for size, trained in sizes if trained),
        device=device.type, precision=precision_on(device.type, settings.precision), processes=processes.count,
        peak_memory=peak_memory(device), speed=sum(int(windows.lengths_of(each).sum()) for each in timed) / training,
        scoring=scoring, max_tokens_per_batch=int(min(fitted, default=0)),
    )  # fmt: skip


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: by torch on a GPU, by the whole process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return process.peak_memory()


def _seconds(device: torch.device, run: Callable[[], Any]) -> float:
    """Return the time of a call, until the device is done."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
