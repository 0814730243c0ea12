"""The one training loop: short, visible, on Accelerate; it knows no task.

Losses are sums over a step, divided once, so micro-batches change no gradient. Randomness comes from seed, step and
rank.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from errno import ENOMEM
from signal import SIGINT, SIGTERM
from typing import Any

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.model.forward import Batch, autocast
from nerbert.model.windows import Windows
from nerbert.process import stop_asked
from nerbert.rng import Array, uniform
from nerbert.terminal import Progress, tell
from nerbert.training.batches import batches_of, steps_of_epoch
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, Recorder
from nerbert.training.distributed import ProcessGroup, make_process_group
from nerbert.training.epochs import Epochs
from nerbert.training.log import StepLog, TrainLog
from nerbert.training.objective import Objective
from nerbert.training.settings import Schedule, TrainSettings

VERSION = 3
"""Raise it when the same settings train differently: unfinished runs then don't resume."""

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""Messages of torch about a GPU, of its CPU allocator on Linux and on Windows, of cuBLAS, and of C++."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled windows; `numbers_of(epoch)` returns the numbers of those that an epoch has, repeated for copies."""

    windows: Windows
    numbers_of: Callable[[int], Array]
    pad_id: int

    @classmethod
    def each_once(cls, windows: Windows, pad_id: int) -> "TrainingData":
        """Return data of which each epoch has all windows once."""
        return cls(windows, lambda _: np.arange(len(windows)), pad_id)

    def steps(self, settings: TrainSettings, after: int, total: int) -> Iterator[tuple[int, Array]]:
        """Yield the epoch and the windows of each step, from the one after `after` on."""
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


@contextmanager
def explain_out_of_memory(setting: str = "max_tokens_per_batch, which holds for evaluations too") -> Iterator[None]:
    """Raise one line that names the `setting` to lower where memory runs out and no smaller micro-batch helps."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not _is_of_memory(error):
            raise
        why = str(error).partition("\n")[0] or type(error).__name__
        what = f"memory ran out outside the micro-batches of training: {why:.200}"
        raise NerbertError(f"{what}; try a smaller {setting}, or a smaller model") from error


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


@explain_out_of_memory()
def train(
    model: Any, data: TrainingData, objective: Objective, settings: TrainSettings, bar: Progress, *,
    evaluate: BestCheckpoint | None = None, checkpoints: Checkpoints | None = None, steps: StepLog | None = None,
    processes: ProcessGroup | None = None, evaluation_steps: int = 0,
) -> TrainLog:  # fmt: skip
    """Train `model` in place and return the log.

    With `checkpoints`, start from the newest of them; a signal then stops the training after it has made one. Where
    `evaluate` is out of patience, the training ends at that evaluation, the last entry of the log.

    The number of steps follows the first epoch's windows. There are about `settings.epochs` log entries, and
    evaluations, even where `min_steps` repeats few windows more often than that; or one after each `evaluation_steps`,
    and a last one.
    """
    processes = processes or make_process_group(settings)
    first = len(data.numbers_of(0))
    per_epoch, total = math.ceil(first / settings.batch_size), total_steps(first, settings)
    every = evaluation_every(first, settings, evaluation_steps)
    model.to(processes.device)
    optimizer = make_optimizer(model, settings, processes.device.type, objective)
    log = checkpoints.resume(model, optimizer) if checkpoints else TrainLog()
    _check_together(processes, log.steps)
    bar.advance(log.steps, before=True)
    if evaluate:
        evaluate.best, evaluate.best_step = log.best, log.best_step
    epochs = Epochs(data, objective, processes, log, checkpoints.taken_columns() if checkpoints else {})
    recorder = Recorder(model, optimizer, log, epochs, processes, checkpoints, steps, total)
    begin, warned = time.monotonic() - log.seconds, False
    model.train()
    with recorder, explain_out_of_memory(), stop_asked() if checkpoints else nullcontext(lambda: 0) as asked:
        for epoch, numbers in data.steps(settings, log.steps, total):
            if evaluate and evaluate.is_out_of_patience(log):
                break
            if epoch >= log.begun:
                recorder.epoch(epochs.begin(model, epoch))
            rate = settings.learning_rate * rate_at(log.steps, total, settings.warmup_ratio, settings.schedule)
            rate *= objective.rate_factor(epoch)
            now, step = epochs.data, log.steps + 1
            figures = train_step(model, now, numbers, objective, optimizer, rate, settings, processes, step)
            log.add_step(figures["loss"], int(now.windows.lengths_of(numbers).sum()), time.monotonic() - begin)
            recorder.step(figures)
            warned = warned or _say_smaller(figures, settings)
            bar.advance(note=f"loss {figures['loss']:.3f}, {log.tokens / log.seconds:,.0f} tokens/s")
            if scored := log.steps % every == 0 or log.steps == total:
                entry = log.add_entry(log.steps / per_epoch)
                if evaluate:
                    entry |= _evaluate(evaluate, model, log.steps) | entry
                    log.best, log.best_step = evaluate.best, evaluate.best_step
                recorder.entry(entry)
            due, stop = processes.totals(recorder.is_due(log.steps), asked())
            if scored or due or stop:
                recorder.save(tells=not scored)
            if stop:
                raise _stopped(asked(), log.steps)
    return log


def _check_together(processes: ProcessGroup, step: int) -> None:
    """Raise NerbertError unless all processes resume from the same step."""
    if processes.totals(step, step * step) != [processes.count * step, processes.count * step * step]:
        raise NerbertError(
            f"process {processes.rank} resumes after step {step}, another one after a different step: "
            "all must see the output's folder"
        )


def train_step(
    model: Any, data: TrainingData, numbers: Array, objective: Objective, optimizer: torch.optim.Optimizer, rate: float,
    settings: TrainSettings, processes: ProcessGroup, step: int,
) -> dict[str, float]:  # fmt: skip
    """Update the model on this process's share of `numbers`; return mean loss, gradient norm and rate.

    `rate` is that of the encoder; each group of the optimizer has its `share` of it, or all.

    Where memory ran out, `max_tokens_per_batch` is the size that fitted. Raise SettingsError before the update if
    loss or norm is no number, and NerbertError if a single window needs more memory than there is.
    """
    device, parts, most = processes.device.type, objective.parts, settings.max_tokens_per_batch
    share = numbers[processes.rank :: processes.count]
    _seed(settings, processes, step)
    shared = objective.begin_step(data.windows, numbers, step)

    def cut() -> list[Batch]:
        batches = batches_of(data.windows, share, most, device, data.pad_id, objective.start_cost)
        return [objective.prepare(batch, step, shared) for batch in batches]

    batches = cut()
    terms = [objective.terms(batch) for batch in batches]
    divisors = processes.totals(*(sum(each[part] for each in terms) for part in parts))
    while (losses := _add_gradients(model, batches, objective, shared, divisors, processes, settings)) is None:
        most = _smaller(batches, step)
        _seed(settings, processes, step)
        batches = cut()
    parameters = [each for each in model.parameters() if each.requires_grad]
    processes.sum_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    means_of_step = processes.totals(*losses.tolist())
    figures = dict(zip(parts, means_of_step, strict=True)) if len(parts) > 1 else {}
    figures |= objective.step_figures(shared) | {"loss": sum(means_of_step), "norm": float(norm), "rate": rate}
    _check_numbers(figures, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return figures | ({"max_tokens_per_batch": most} if most != settings.max_tokens_per_batch else {})


def _seed(settings: TrainSettings, processes: ProcessGroup, step: int) -> None:
    torch.manual_seed(int(uniform(settings.seed, "step", f"{step} {processes.rank}") * (1 << 53)))


def _add_gradients(
    model: Any, batches: Sequence[Batch], objective: Objective, shared: Any, divisors: Sequence[float],
    processes: ProcessGroup, settings: TrainSettings,
) -> torch.Tensor | None:  # fmt: skip
    """Add the gradients of a process's micro-batches, and return its share of the loss of each part.

    Return None where memory ran out; all gradients are dropped then. Nothing here waits for other processes, so each
    may retry by itself.
    """
    losses = torch.zeros(len(objective.parts), device=processes.device)
    try:
        with (
            torch.autocast(processes.device.type, enabled=False),  # keeps the casts of weights between micro-batches
            objective.step_pass(model, shared),
        ):
            for batch in batches:
                losses += _backward(model, batch.to(processes.device), objective, divisors, settings)
    except (RuntimeError, MemoryError) as error:
        if not _is_of_memory(error):
            raise
    else:
        return losses
    model.zero_grad(set_to_none=True)
    clear_device_cache(garbage_collection=True)  # here the error is freed, and with it what its frames held
    return None


def _backward(
    model: Any, batch: Batch, objective: Objective, divisors: Sequence[float], settings: TrainSettings
) -> torch.Tensor:
    """Add a micro-batch's gradients and return its loss of each part."""
    with autocast(batch.ids.device.type, settings.precision):
        sums = objective.loss(model, batch)
        means = torch.stack([sums[part] / (many or 1.0) for part, many in zip(objective.parts, divisors, strict=True)])
    means.sum().backward()  # type: ignore[no-untyped-call]
    return means.detach()


def _smaller(batches: Sequence[Batch], step: int) -> int:
    """Return half the size of the largest micro-batch that can be cut; raise NerbertError if there is none."""
    sizes = [batch.ids.numel() for batch in batches if len(batch.ids) > 1]
    if not sizes:
        longest = max(batch.ids.shape[1] for batch in batches)
        raise NerbertError(f"step {step}: memory ran out with single windows of up to {longest} tokens: try a smaller "
                           "max_length, or a smaller model")  # fmt: skip
    return max(sizes) // 2


def total_steps(windows: int, settings: TrainSettings) -> int:
    """Return how many steps `train` will take, unless it ends early."""
    steps = max(1, settings.min_steps, round(settings.epochs * math.ceil(windows / settings.batch_size)))
    return min(steps, settings.max_steps) if settings.max_steps else steps


def evaluation_every(windows: int, settings: TrainSettings, steps: int = 0) -> int:
    """Return after how many steps `train` adds an entry to its log, and evaluates: `steps`, or (0) once an epoch."""
    return steps or max(math.ceil(windows / settings.batch_size), int(total_steps(windows, settings) / settings.epochs))


def rate_at(step: int, total: int, warmup_ratio: float, schedule: Schedule = "linear") -> float:
    """Return the learning rate's share of its highest: up in a straight line, then as the schedule says."""
    warmup = round(total * warmup_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else (1 - math.cos(math.pi * left)) / 2


def make_optimizer(
    model: Any, settings: TrainSettings, device: str, objective: Objective | None = None
) -> torch.optim.Optimizer:
    """Return the objective's own optimizer, or AdamW over what isn't frozen; vectors (biases, norms) have no decay.

    Layers that the `objective` calls new are groups with a rate of their own, if the settings have one.
    """
    if objective and (its_own := objective.optimizer(model, settings)):
        return its_own
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    own = settings.new_layers_learning_rate
    apart = {id(each) for each in objective.new_parameters(model)} if own and objective else set[int]()
    groups = _groups([each for each in trained if id(each) not in apart], settings)
    if apart:
        further = _groups([each for each in trained if id(each) in apart], settings)
        groups += [each | {"lr": own, "share": own / settings.learning_rate} for each in further]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=device in ("cpu", "cuda"))


def _groups(parameters: Sequence[torch.nn.Parameter], settings: TrainSettings) -> list[dict[str, Any]]:
    """Return parameters with decay, and those without."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _check_numbers(figures: dict[str, float], step: int) -> None:
    for what, name in (("loss", "loss"), ("gradient's norm", "norm")):
        if not math.isfinite(figures[name]):
            raise SettingsError(
                f"step {step}: the {what} became {figures[name]}: nothing was updated; try a smaller learning_rate or "
                "precision=fp32"
            )


def _say_smaller(figures: Mapping[str, float], settings: TrainSettings) -> bool:
    """Print that memory ran out in a step, if it did; return whether."""
    most = figures.get("max_tokens_per_batch")
    if most:
        tell(f"memory ran out with max_tokens_per_batch = {settings.max_tokens_per_batch}: step cut to {most}, and so "
             f"are later ones where it runs out; max_tokens_per_batch={most} saves the failed attempts")  # fmt: skip
    return bool(most)


def _evaluate(evaluate: BestCheckpoint, model: Any, step: int) -> dict[str, float]:
    model.eval()
    figures = evaluate(model, step)
    model.train()
    return figures


def _stopped(signal_: int, step: int) -> BaseException:
    """Return the exception that ends a stopped training: Ctrl-C's, or an exit with SIGTERM's code."""
    stop = KeyboardInterrupt() if signal_ == SIGINT else SystemExit(128 + SIGTERM)
    stop.add_note(f"step {step} is kept")
    return stop
