"""The one training loop: short, visible, on Accelerate.

A step's loss is the sum of the objective's terms over all its micro-batches divided by their number, so how a step is
cut into micro-batches never changes the gradient. A loss that is no number stops before the update. The loop knows no
task: an objective turns a batch into (sum of losses, number of terms). Mixed precision is torch's own autocast, so
Accelerate's process-wide state is left as it is.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.show import Progress
from nerbert.training.batches import Batch, Window, cheapest_cuts, collate, micro_batches, steps_of_epoch
from nerbert.training.settings import TrainSettings

_START_COST = 140
"""What a micro-batch costs on a CPU beside its pieces, in pieces: measured with MiniLM (38 ms of CPU)."""
Objective = Callable[[Any, Batch], tuple[torch.Tensor, int]]


class Evaluate(Protocol):
    """Called with the model about once an epoch and at the end; what it returns is kept in the log."""

    def __call__(self, model: Any, step: int) -> dict[str, float]: ...  # noqa: D102


@dataclass(slots=True)
class TrainLog:
    """What happened: the mean loss since the last entry, evaluations, and the speed."""

    entries: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


def train(
    model: Any,
    windows_of: Callable[[int], Sequence[Window]],
    objective: Objective,
    settings: TrainSettings,
    pad_id: int,
    bar: Progress,
    evaluate: Evaluate | None = None,
) -> TrainLog:
    """Train `model` in place on the windows that `windows_of` gives for each epoch; the log.

    The number of steps follows the first epoch's windows. There are about as many log entries, and evaluations, as
    `settings.epochs`, also where `least_steps` goes through few windows more often than that.
    """
    first = len(windows_of(0))
    accelerator = make_accelerator(settings)
    torch.manual_seed(settings.seed)
    fused = accelerator.device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay), lr=settings.learning_rate, fused=fused)
    model, optimizer = accelerator.prepare(model, optimizer)
    per_epoch, total = math.ceil(first / settings.batch_size), total_steps(first, settings)
    every = max(per_epoch, int(total / settings.epochs))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, total, settings.warmup_share))
    log, losses, begin = TrainLog(), [], time.monotonic()
    model.train()
    for step, chosen in enumerate(_steps(windows_of, settings, total), 1):
        losses.append(_train_step(model, chosen, objective, optimizer, accelerator, settings, pad_id))
        schedule.step()
        log.steps, log.tokens = step, log.tokens + sum(len(window.ids) for window in chosen)
        log.seconds = max(time.monotonic() - begin, 1e-9)
        bar.advance(note=f"loss {losses[-1]:.3f}, {log.tokens / log.seconds:,.0f} tokens/s")
        if step % every == 0 or step == total:
            entry = {"step": step, "epoch": step / per_epoch, "loss": sum(losses) / len(losses)}
            log.entries.append(entry | (_evaluate(evaluate, accelerator, model, step) if evaluate else {}))
            losses = []
    return log


def total_steps(windows: int, settings: TrainSettings) -> int:
    """How many steps `train` will take."""
    steps = max(1, settings.least_steps, round(settings.epochs * math.ceil(windows / settings.batch_size)))
    return min(steps, settings.most_steps) if settings.most_steps else steps


def rate_at(step: int, total: int, warmup_share: float) -> float:
    """The learning rate's share of its highest: up in a straight line, then down to 0."""
    warmup = round(total * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))


def make_accelerator(settings: TrainSettings) -> Accelerator:
    """The devices to train on; its own mixed precision stays off, `autocast` does that."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    try:
        accelerator = Accelerator(mixed_precision="no")
    except ValueError as error:
        raise SettingsError(f"this process has an Accelerator that nerbert can't train with: {error}") from error
    if accelerator.num_processes > 1:
        raise SettingsError(f"{accelerator.num_processes} processes: this version trains in one, without torchrun")
    return accelerator


def autocast(device: str, precision: str) -> torch.autocast:
    """A context that computes in bf16 if `precision` (`auto`: the device's best) says so; weights stay as they are."""
    chosen = precision if precision != "auto" else best_precision(device)
    return torch.autocast(device, torch.bfloat16, enabled=chosen == "bf16")


def best_precision(device: str = "") -> str:
    """`bf16` where the device (`cuda`, `cpu` …; default: the GPU if there is one) computes in it, else `fp32`."""
    if (device or "cuda") == "cuda" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device not in ("", "cpu"):
        return "fp32"
    has = any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if has else "fp32"


def _train_step(
    model: Any, windows: Sequence[Window], objective: Objective, optimizer: Any, accelerator: Accelerator,
    settings: TrainSettings, pad_id: int,
) -> float:  # fmt: skip
    """One update; the step's mean loss. Raise NerbertError before the update if it or a gradient is no number."""
    loss, terms = 0.0, 0
    for group in _cut(windows, settings.micro_batch_tokens, accelerator.device.type):
        batch = to_device(collate([windows[place] for place in group], pad_id), accelerator.device)
        with autocast(accelerator.device.type, settings.precision):
            part, count = objective(model, batch)
        accelerator.backward(part)
        loss, terms = loss + float(part.detach()), terms + count
    loss /= max(1, terms)
    _check_number("loss", loss)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(max(1, terms))
    _check_number("gradient's norm", float(accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def _cut(windows: Sequence[Window], max_tokens: int, device: str) -> Iterable[list[int]]:
    """A step's micro-batches: on a CPU, where padding costs most, the cheapest cut; else as few as fit."""
    return cheapest_cuts(windows, max_tokens, _START_COST) if device == "cpu" else micro_batches(windows, max_tokens)


def _check_number(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise NerbertError(
            f"the {what} became {value}: nothing was updated; try a smaller learning_rate or precision=fp32"
        )


def to_device(batch: Batch, device: Any) -> Batch:
    """The batch with its tensors on `device`."""
    ids, mask, rows, columns, labels = (
        tensor.to(device) for tensor in (batch.ids, batch.mask, batch.rows, batch.columns, batch.labels)
    )
    return Batch(ids, mask, rows, columns, labels, batch.tokens)


def _steps(
    windows_of: Callable[[int], Sequence[Window]], settings: TrainSettings, total: int
) -> Iterator[list[Window]]:
    epoch = done = 0
    while done < total:
        windows = windows_of(epoch)
        if not windows:
            raise InputError("nothing to train on: no sentence has a word that the tokenizer knows")
        lengths = [len(window.ids) for window in windows]
        for step in steps_of_epoch(lengths, settings.batch_size, settings.seed, epoch)[: total - done]:
            done += 1
            yield [windows[index] for index in step]
        epoch += 1


def _evaluate(evaluate: Evaluate, accelerator: Accelerator, model: Any, step: int) -> dict[str, float]:
    model.eval()
    figures = evaluate(accelerator.unwrap_model(model), step)
    model.train()
    return figures


def _groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without decay: vectors (biases, norms) have none."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
