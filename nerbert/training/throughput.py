"""How fast a training would be: a few real micro-batches, timed where they would be computed.

The choice: the median of what a piece costs, padding included, so that one hiccup of the machine doesn't count. The
price: what grows with a window's length (attention) is told for windows of middling length.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

import torch

from nerbert.model.forward import Batch, autocast
from nerbert.model.windows import Windows
from nerbert.rng import Array
from nerbert.training.base_settings import TrainSettings
from nerbert.training.loop import batches_of
from nerbert.training.objective import Objective

_TIMED = 5
"""Micro-batches that are timed, after one that isn't."""
_TIMED_TOKENS = 1024
"""Pieces of those on a CPU: larger ones cost the same a piece there, and BERT-base would take minutes."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds: of a piece forward and backward, of one forward alone, and of the update that ends a step."""

    training: float
    scoring: float
    update: float


@contextmanager
def unchanged(model: Any, device: torch.device) -> Iterator[None]:
    """Chance, training mode and gradients are afterwards as before."""
    was = model.training
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            model.train(was)
            model.zero_grad(set_to_none=True)


def measure_speed(
    model: Any, windows: Windows, steps: Sequence[Array], settings: TrainSettings, objective: Objective, pad_id: int,
    device: torch.device,
) -> Speed:  # fmt: skip
    """Time some micro-batches of `steps` forward and backward, and forward alone, on the device where `model` is.

    The model is left as it was.
    """
    tokens = (
        min(settings.max_tokens_per_batch, _TIMED_TOKENS) if device.type == "cpu" else settings.max_tokens_per_batch
    )
    batches = _to_time(windows, steps, tokens, pad_id, device)

    def learn(batch: Batch) -> None:
        ready = objective.prepare(batch, 0).to(device)
        with autocast(device.type, settings.precision):
            loss = objective.loss(model, ready)
        loss.backward()  # type: ignore[no-untyped-call]

    def score(batch: Batch) -> None:
        with torch.inference_mode(), autocast(device.type, settings.precision):
            objective.loss(model, objective.prepare(batch, 0).to(device))

    with unchanged(model, device):
        model.train()
        with torch.autocast(device.type, enabled=False):  # as in a step: casts of weights are kept
            training = _seconds_a_piece(learn, batches, device)
        model.eval()
        scoring = _seconds_a_piece(score, batches, device)
    return Speed(training, scoring, _seconds_an_update(model, settings, device))


def _to_time(windows: Windows, steps: Sequence[Array], tokens: int, pad_id: int, device: torch.device) -> list[Batch]:
    """Micro-batches to time, the first one to warm up: from steps all over the sample, the middle one of each."""
    found: list[Batch] = []
    for place in range(_TIMED + 1):
        cut = list(batches_of(windows, steps[place * len(steps) // (_TIMED + 1)], tokens, device.type, pad_id))
        found.append(cut[(len(cut) * (place + 1)) // (_TIMED + 2)])
    return found


def _seconds_a_piece(run: Callable[[Batch], None], batches: Sequence[Batch], device: torch.device) -> float:
    run(batches[0])
    return median(_seconds(partial(run, batch), device) / batch.ids.numel() for batch in batches[1:])


def _seconds(run: Callable[[], Any], device: torch.device) -> float:
    """Of one call, until the device has done all of it."""
    _finish(device)
    begin = time.perf_counter()
    run()
    _finish(device)
    return time.perf_counter() - begin


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds_an_update(model: Any, settings: TrainSettings, device: torch.device) -> float:
    """Clipping and AdamW: timed on a copy of the largest parameter, for as many as are trained."""
    trained = [each for each in model.parameters() if each.requires_grad]
    largest = max(trained, key=torch.Tensor.numel).detach().clone().requires_grad_()
    largest.grad = torch.zeros_like(largest)
    optimizer = torch.optim.AdamW([largest], fused=device.type in ("cpu", "cuda"))

    def update() -> None:
        torch.nn.utils.clip_grad_norm_([largest], settings.max_grad_norm)
        optimizer.step()

    update()
    share = largest.numel() / sum(each.numel() for each in trained)
    return fmean(_seconds(update, device) for _ in range(3)) / float(share)
