"""A step of a training: its micro-batches, their gradients and the update.

`prepare_step` needs no device, so a thread can do it ahead. `launch_step` gives a function that returns the step's
figures; where the step is `late`, only that function waits for the device.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache

from nerbert.errors import NerbertError, SettingsError
from nerbert.model.forward import Batch, autocast
from nerbert.rng import Array, uniform
from nerbert.training.batches import TrainingData, batches_of
from nerbert.training.distributed import ProcessGroup, is_of_memory
from nerbert.training.objective import Objective
from nerbert.training.settings import TrainSettings

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class PreparedStep:
    """One process's share of a step, on the CPU: `cut` returns micro-batches of at most so many tokens."""

    number: int
    tokens: int
    """In all processes."""
    shared: Any
    cut: Callable[[int], list[Batch]]
    batches: Sequence[Batch]


def prepare_step(
    data: TrainingData, numbers: Array, objective: Objective, settings: TrainSettings, processes: ProcessGroup,
    step: int,
) -> PreparedStep:  # fmt: skip
    """Return this process's share of `numbers`, cut into micro-batches, with what is drawn for them."""
    device, share = processes.device.type, numbers[processes.rank :: processes.count]
    shared = objective.begin_step(data.windows, numbers, step)

    def cut(most: int) -> list[Batch]:
        batches = batches_of(data.windows, share, most, device, data.pad_id, objective.start_cost)
        prepared = (objective.prepare(batch, step, shared) for batch in batches)
        return [each.pinned() if settings.overlap and device == "cuda" else each for each in prepared]

    tokens = int(data.windows.lengths_of(numbers).sum())
    return PreparedStep(step, tokens, shared, cut, cut(settings.max_tokens_per_batch))


def train_step(
    model: Any, data: TrainingData, numbers: Array, objective: Objective, optimizer: torch.optim.Optimizer, rate: float,
    settings: TrainSettings, processes: ProcessGroup, step: int,
) -> Figures:  # fmt: skip
    """Update the model on this process's share of `numbers`; return mean loss, gradient norm and rate."""
    prepared = prepare_step(data, numbers, objective, settings, processes, step)
    return launch_step(model, prepared, objective, optimizer, rate, settings, processes)()


def launch_step(
    model: Any, step: PreparedStep, objective: Objective, optimizer: torch.optim.Optimizer, rate: float,
    settings: TrainSettings, processes: ProcessGroup, *, late: bool = False,
) -> Callable[[], Figures]:  # fmt: skip
    """Update the model; return a function that gives mean loss, gradient norm and rate.

    `rate` is that of the encoder; each group of the optimizer has its `share` of it, or all. Where memory ran out,
    `max_tokens_per_batch` is the size that fitted. What is no number changes no weight. Raise SettingsError for it,
    with `late` from the function returned, and NerbertError if a single window needs more memory than there is.
    """
    parts, most, batches = objective.parts, settings.max_tokens_per_batch, step.batches
    terms = [objective.terms(batch) for batch in batches]
    divisors = processes.totals(*(sum(each[part] for each in terms) for part in parts))
    while (losses := _add_gradients(model, batches, objective, step, divisors, processes, settings)) is None:
        most = _smaller(batches, step.number)
        batches = step.cut(most)
    parameters = [each for each in model.parameters() if each.requires_grad]
    processes.sum_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    on_host = _copied(torch.stack([*losses, norm.to(losses.device)]))

    def figures() -> Figures:
        *means, length = on_host()
        means = processes.totals(*means)
        found = dict(zip(parts, means, strict=True)) if len(parts) > 1 else {}
        found |= objective.step_figures(step.shared) | {"loss": sum(means), "norm": length, "rate": rate}
        for what, value in (("loss", found["loss"]), ("gradient's norm", length)):
            if not math.isfinite(value):
                raise SettingsError(f"step {step.number}: the {what} became {value}: nothing was updated; try a "
                                    "smaller learning_rate or precision=fp32")  # fmt: skip
        return found | ({"max_tokens_per_batch": most} if most != settings.max_tokens_per_batch else {})

    found = {} if late else figures()
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    if late:  # AdamW reads it on the device
        optimizer.found_inf = (~(losses.sum() + norm).isfinite()).float()  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return figures if late else lambda: found


def _copied(values: torch.Tensor) -> Callable[[], list[float]]:
    """Begin to copy numbers to the CPU; return a function that waits for the copy alone and returns them."""
    if values.device.type != "cuda":
        return values.tolist
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record()

    def wait() -> list[float]:
        done.synchronize()
        return list(host.tolist())

    return wait


def _add_gradients(
    model: Any, batches: Sequence[Batch], objective: Objective, step: PreparedStep, divisors: Sequence[float],
    processes: ProcessGroup, settings: TrainSettings,
) -> torch.Tensor | None:  # fmt: skip
    """Add the gradients of a process's micro-batches, and return its share of the loss of each part.

    Return None where memory ran out; all gradients are dropped then. Nothing here waits for other processes, so each
    may retry by itself.
    """
    torch.manual_seed(int(uniform(settings.seed, "step", f"{step.number} {processes.rank}") * (1 << 53)))
    losses = torch.zeros(len(objective.parts), device=processes.device)
    try:
        with (
            torch.autocast(processes.device.type, enabled=False),  # keeps the casts of weights between micro-batches
            objective.step_pass(model, step.shared),
        ):
            for batch in batches:
                losses += _backward(model, batch.to(processes.device), objective, divisors, settings)
    except (RuntimeError, MemoryError) as error:
        if not is_of_memory(error):
            raise
    else:
        return losses
    model.zero_grad(set_to_none=True)
    clear_device_cache(garbage_collection=True)  # here the error is freed, and with it what its frames held
    return None


def _backward(
    model: Any, batch: Batch, objective: Objective, divisors: Sequence[float], settings: TrainSettings
) -> torch.Tensor:
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
