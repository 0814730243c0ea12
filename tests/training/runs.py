"""What tests of trainings share: data of all windows, weights, and the log."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerbert.model.windows import Windows
from nerbert.training.batches import TrainingData


def data_of(windows: Windows) -> TrainingData:
    return TrainingData(windows, lambda _: np.arange(len(windows)), 0)


def weights(model: Any) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(one.equal(other) for one, other in zip(some, others, strict=True))


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log of a training without the seconds."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
