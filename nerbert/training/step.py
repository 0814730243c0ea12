"""A step of a training: its micro-batches, their gradients and the update.

`prepare_step` doesn't use the device, so a thread can run it ahead. `launch_step` returns a function that returns the
step's figures; if the step is `late`, only that function waits for the device.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache

from nerbert.errors import NerbertError, SettingsError
from nerbert.model.forward import Batch, autocast
from nerbert.rng import Array, uniform
from nerbert.training.batches import batches_of
from nerbert.training.distributed import is_of_memory
from nerbert.training.run import Run

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class PreparedStep:
    """One process's share of a step, on the CPU; `cut` returns micro-batches of at most a given number of tokens."""

    number: int
    tokens: int
    """Tokens in all processes."""
    shared: Any
    cut: Callable[[int], list[Batch]]
    batches: Sequence[Batch]


def prepare_steps(run: Run, steps: Iterator[Array]) -> Iterator[PreparedStep]:
    """Yield this process's share of an epoch's steps, which are given by the numbers of their windows.

    With `overlap`, a thread prepares the next step in the meantime.
    """
    first = run.log.steps + 1
    if not run.settings.overlap:
        yield from (prepare_step(run, numbers, step) for step, numbers in enumerate(steps, first))
        return
    with ThreadPoolExecutor(1) as pool:
        ahead: Future[PreparedStep] | None = None
        for step, numbers in enumerate(steps, first):
            following = pool.submit(prepare_step, run, numbers, step)
            if ahead:
                yield ahead.result()
            ahead = following
        if ahead:
            yield ahead.result()


def prepare_step(run: Run, numbers: Array, step: int) -> PreparedStep:
    """Return this process's share of `numbers`, cut into micro-batches, with their random choices."""
    windows, hooks, device = run.windows, run.step_hooks, run.processes.device.type
    share = numbers[run.processes.rank :: run.processes.count]
    shared = hooks.begin_step(windows, numbers, step)
    pin = run.settings.overlap and device == "cuda"

    def cut(max_tokens: int) -> list[Batch]:
        batches = batches_of(windows, share, max_tokens, device, run.data.pad_id, hooks.start_cost)
        prepared = (hooks.prepare(batch, step, shared) for batch in batches)
        return [batch.pin() if pin else batch for batch in prepared]

    tokens = int(windows.lengths_of(numbers).sum())
    return PreparedStep(step, tokens, shared, cut, cut(run.settings.max_tokens_per_batch))


def train_step(run: Run, numbers: Array, rate: float, step: int) -> Figures:
    """Update the model on this process's share of `numbers`; return mean loss, gradient norm and rate."""
    return launch_step(run, prepare_step(run, numbers, step), rate)()


def launch_step(run: Run, step: PreparedStep, rate: float, *, late: bool = False) -> Callable[[], Figures]:
    """Update the model; return a function that returns mean loss, gradient norm and rate.

    `rate` is the encoder's; each group of the optimizer gets its `share` of it (default: all). If memory ran out, the
    figure `max_tokens_per_batch` is the size that fitted. A non-finite loss or gradient never updates the weights.
    Raise SettingsError for it (if `late`, from the returned function), and NerbertError if a single window needs more
    memory than there is.
    """
    model, objective, settings, processes = run.model, run.objective, run.settings, run.processes
    parts, max_tokens, batches = objective.parts, settings.max_tokens_per_batch, step.batches
    terms = [objective.terms(batch) for batch in batches]
    divisors = processes.totals(*(sum(shares[part] for shares in terms) for part in parts))
    while (losses := _add_gradients(run, batches, step, divisors)) is None:
        sizes = [batch.ids.numel() for batch in batches if len(batch.ids) > 1]
        if not sizes:
            longest = max(batch.ids.shape[1] for batch in batches)
            raise NerbertError(f"step {step.number}: memory ran out with single windows of up to {longest} tokens: try "
                               "a smaller max_length, or a smaller model")  # fmt: skip
        max_tokens = max(sizes) // 2
        batches = step.cut(max_tokens)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    processes.sum_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    on_host = _copy_to_host(torch.stack([*losses, norm.to(losses.device)]))

    def read() -> Figures:
        *means, length = on_host()
        means = processes.totals(*means)
        figures = dict(zip(parts, means, strict=True)) if len(parts) > 1 else {}
        figures |= run.step_hooks.step_figures(step.shared) | {"loss": sum(means), "norm": length, "rate": rate}
        for name, value in (("loss", figures["loss"]), ("gradient's norm", length)):
            if not math.isfinite(value):
                raise SettingsError(f"step {step.number}: the {name} became {value}: nothing was updated; try a "
                                    "smaller learning_rate or precision=fp32")  # fmt: skip
        return figures | ({"max_tokens_per_batch": max_tokens} if max_tokens != settings.max_tokens_per_batch else {})

    known = {} if late else read()
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    if late:  # AdamW reads it on the device
        run.optimizer.found_inf = (~(losses.sum() + norm).isfinite()).float()  # type: ignore[attr-defined]
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return read if late else lambda: known


def _copy_to_host(values: torch.Tensor) -> Callable[[], list[float]]:
    """Start copying numbers to the CPU; return a function that waits for this copy only, and returns them."""
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
    run: Run, batches: Sequence[Batch], step: PreparedStep, divisors: Sequence[float]
) -> torch.Tensor | None:
    """Add the gradients of a process's micro-batches, and return its share of the loss of each part.

    If memory ran out, drop all gradients and return None. Nothing here waits for other processes, so each can retry
    alone.
    """
    device, seed = run.processes.device, run.settings.seed
    torch.manual_seed(int(uniform(seed, "step", f"{step.number} {run.processes.rank}") * (1 << 53)))
    losses = torch.zeros(len(divisors), device=device)
    try:
        with (
            torch.autocast(device.type, enabled=False),  # keeps the casts of weights between micro-batches
            _sparse_embeddings(run.model, device.type),
            run.step_hooks.step_pass(run.model, step.shared),
        ):
            for batch in batches:
                losses += _backward(run, batch.to(device), divisors)
    except (RuntimeError, MemoryError) as error:
        if not is_of_memory(error):
            raise
    else:
        return losses
    run.model.zero_grad(set_to_none=True)
    clear_device_cache(garbage_collection=True)  # the error and the tensors in its frames are freed by now
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
        sums, parts = run.objective.loss(run.model, batch), run.objective.parts
        means = torch.stack([sums[part] / (terms or 1.0) for part, terms in zip(parts, divisors, strict=True)])
    means.sum().backward()  # type: ignore[no-untyped-call]
    return means.detach()
