"""A step of a training: its micro-batches, their gradients and the update."""

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from nerbert.errors import NerbertError, SettingsError
from nerbert.model.forward import Batch, autocast
from nerbert.rng import Array, uniform
from nerbert.training.batches import batches_of
from nerbert.training.distributed import is_of_memory
from nerbert.training.run import Run

Figures = dict[str, float]


def _halve(batches: Sequence[Batch], number: int) -> int:
    """Return half of the tokens of the largest batch; raise NerbertError if all are single windows."""
    # Single windows can't be made smaller.
    sizes = [batch.ids.numel() for batch in batches if len(batch.ids) > 1]
    if not sizes:
        longest = max(batch.ids.shape[1] for batch in batches)
        raise NerbertError(
            f"step {number}: memory ran out with single windows of up to {longest} tokens: try "
            "a smaller max_length, or a smaller model"
        )
    # Half of the largest one that was tried, not of the setting, which may be far above.
    return max(sizes) // 2


def train_step(run: Run, numbers: Array, rate: float, number: int) -> Figures:
    """Update the model on the windows of step `number`, given by their numbers; return mean loss, gradient norm, rate.

    `rate` is the encoder's; each group of the optimizer gets its `share` of it (default: all). If memory ran out, the
    figure `max_tokens_per_batch` is the size that fitted. A non-finite loss or gradient never updates the weights.
    Raise SettingsError for it, and NerbertError if a single window needs more memory than there is.
    """
    model, objective, settings, processes = run.model, run.objective, run.settings, run.processes
    shared = run.step_hooks.begin_step(run.windows, numbers, number)
    share = numbers[processes.rank :: processes.count]
    max_tokens = settings.max_tokens_per_batch
    batches = _cut(run, share, max_tokens, number, shared)
    parts = objective.parts
    terms = [objective.terms(batch) for batch in batches]
    # Divisors are those of the whole step in all processes, so how it is cut doesn't change a gradient.
    divisors = processes.totals(*(sum(shares[part] for shares in terms) for part in parts))
    while (losses := _add_gradients(run, batches, number, shared, divisors)) is None:
        max_tokens = _halve(batches, number)
        batches = _cut(run, share, max_tokens, number, shared)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    processes.sum_gradients(parameters)
    # Gradients are summed before they are clipped: the norm is that of the whole step.
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    *means, length = torch.stack([*losses, norm.to(losses.device)]).tolist()
    means = processes.totals(*means)
    figures = dict(zip(parts, means, strict=True)) if len(parts) > 1 else {}
    figures |= run.step_hooks.step_figures(shared) | {"loss": sum(means), "norm": length, "rate": rate}
    # Before the update: one step with NaN would ruin the weights, and the checkpoint after them.
    for name, value in (("loss", figures["loss"]), ("gradient's norm", length)):
        if not math.isfinite(value):
            raise SettingsError(
                f"step {number}: the {name} became {value}: nothing was updated; try a "
                "smaller learning_rate or precision=fp32"
            )
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return figures | ({"max_tokens_per_batch": max_tokens} if max_tokens != settings.max_tokens_per_batch else {})


def _cut(run: Run, share: Array, max_tokens: int, number: int, shared: Any) -> list[Batch]:
    """Return a process's share of a step in micro-batches of at most so many tokens, with their random choices."""
    hooks, device = run.step_hooks, run.processes.device.type
    batches = batches_of(run.windows, share, max_tokens, device, run.data.pad_id, hooks.start_cost)
    return [hooks.prepare(batch, number, shared) for batch in batches]


def _add_gradients(
    run: Run, batches: Sequence[Batch], number: int, shared: Any, divisors: Sequence[float]
) -> torch.Tensor | None:
    """Add the gradients of a process's micro-batches, and return its share of the loss of each part.

    If memory ran out, drop all gradients and return None. Nothing here waits for other processes, so each can retry
    alone.
    """
    device, seed = run.processes.device, run.settings.seed
    # Dropout depends on seed, step and rank alone, so a resumed run draws what an uninterrupted one did.
    torch.manual_seed(int(uniform(seed, "step", f"{number} {run.processes.rank}") * (1 << 53)))
    losses = torch.zeros(len(divisors), device=device)
    try:
        with (
            # An outer context that is off: it keeps the casts of weights from one micro-batch to the next.
            torch.autocast(device.type, enabled=False),
            _sparse_embeddings(run.model, device.type),
            run.step_hooks.step_pass(run.model, shared),
        ):
            for batch in batches:
                losses += _backward(run, batch.to(device), divisors)
    except (RuntimeError, MemoryError) as error:
        if not is_of_memory(error):
            raise
    else:
        return losses
    run.model.zero_grad(set_to_none=True)
    # The error is freed by now, but not yet the tensors in its frames.
    gc.collect()
    if device.type != "cpu":
        # Cached blocks of other sizes may make the next attempt fail as well.
        torch.get_device_module(device).empty_cache()
    return None


@contextmanager
def _sparse_embeddings(model: torch.nn.Module, device: str) -> Iterator[None]:
    """Collect the gradients of embeddings as sparse rows on a CPU, and make them dense at the end.

    A dense gradient per micro-batch, mostly zeros, takes as long as 30 subwords in the layers of MiniLM.
    """
    tables = [part for part in model.modules() if isinstance(part, torch.nn.Embedding) and device == "cpu"]
    try:
        for table in tables:
            table.sparse = True
        yield
    finally:
        for table in tables:
            table.sparse = False
    for weight in (table.weight for table in tables):
        weight.grad = None if weight.grad is None else weight.grad.to_dense()


def _backward(run: Run, batch: Batch, divisors: Sequence[float]) -> torch.Tensor:
    """Add a micro-batch's gradients; return its share of the loss of each part."""
    with autocast(batch.ids.device.type, run.settings.precision):
        sums = run.objective.loss(run.model, batch)
        parts = run.objective.parts
        # A part without terms in this step is 0 ÷ 1, not 0 ÷ 0.
        means = torch.stack([sums[part] / (terms or 1.0) for part, terms in zip(parts, divisors, strict=True)])
    means.sum().backward()  # type: ignore[no-untyped-call]
    return means.detach()
