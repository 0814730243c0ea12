"""A model of a few numbers, and windows for it."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest
import torch

from nerbert.model.forward import Batch
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.training.checkpoint import TrainLog
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.objective import Objective, StepHooks
from nerbert.training.run import Run
from nerbert.training.settings import TrainSettings
from tests.training.runs import data_of, tiny_model, weights


class Plain(Objective, StepHooks):
    """The plainest objective: cross-entropy of all logits, read off at the batch's places."""

    def terms(self, batch: Batch) -> dict[str, float]:
        return {"loss": float((batch.labels != IGNORED).sum())}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
        summed = torch.nn.functional.cross_entropy(logits.float(), batch.labels, ignore_index=IGNORED, reduction="sum")
        return {"loss": summed}


@pytest.fixture
def objective() -> Plain:
    return Plain()  # type: ignore[abstract]


@pytest.fixture
def windows() -> Windows:
    """Eight windows of several lengths; some words are ignored."""
    random, found = Random(3), []
    for number in range(8):
        length = 4 + number
        ids = tuple(random.randrange(5, 50) for _ in range(length))
        labels = tuple(IGNORED if place == 1 else random.randrange(3) for place in range(length - 2))
        found.append(Window(number, ids, tuple(range(length - 2)), tuple(range(1, length - 1)), labels))
    return Windows.pack(found)


class Trained(NamedTuple):
    """A training that has ended."""

    log: TrainLog
    model: Any
    weights: list[torch.Tensor]


@pytest.fixture
def trained(objective: Objective, windows: Windows) -> Callable[..., Trained]:
    """Train a new model with the plain objective on the windows, or on what is given."""

    def run(settings: TrainSettings, model: Any = None, **given: Any) -> Trained:
        model, processes = model or tiny_model(), make_process_group(settings)
        data, chosen = given.pop("data", data_of(windows)), given.pop("objective", objective)
        log = train(Run(model, data, chosen, settings, processes, **given))
        return Trained(log, model, weights(model))

    return run
