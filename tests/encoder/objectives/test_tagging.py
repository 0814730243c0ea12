from typing import Any

import numpy as np
import pytest
import torch

from nerbert.model.forward import Batch
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.training.batches import collate
from nerbert.training.objective import Objective
from nerbert.training.tagging import TaggingSettings, TokenClassification
from tests.encoder.backbones import tiny_tagging

LABELS = [(0, IGNORED, 4), (2,), (0, 1, 0)]
WINDOWS = [
    Window(
        number,
        (2, *range(7 + number, 7 + number + len(labels)), 3),
        tuple(range(len(labels))),
        tuple(range(1, 1 + len(labels))),
        labels,
    )
    for number, labels in enumerate(LABELS)
]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_tagging("bert", num_labels=5).requires_grad_(False)


def weighted(smoothing: float = 0.0, outside: float = 1.0) -> TokenClassification:
    return TokenClassification(section=TaggingSettings(label_smoothing=smoothing, outside_weight=outside))


def batch_of(*windows: Window) -> Batch:
    return collate(Windows.pack(windows), np.arange(len(windows)), 0)


def mean(objective: Objective, model: Any, batch: Batch) -> float:
    return float(objective.loss(model, batch)["loss"]) / objective.terms(batch)["loss"]


def theirs(model: Any, batch: Batch, smoothing: float = 0.0, weight: torch.Tensor | None = None) -> float:
    logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
    loss = torch.nn.functional.cross_entropy(
        logits, batch.labels, weight, ignore_index=IGNORED, reduction="mean", label_smoothing=smoothing
    )
    return float(loss)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("outside", [1.0, 0.25, 2.0, 3.0, 0.0])
def test_the_mean_is_torchs_own(model: Any, smoothing: float, outside: float) -> None:
    batch, weight = batch_of(*WINDOWS), torch.tensor([outside, 1, 1, 1, 1])
    objective = weighted(smoothing, outside)
    assert objective.terms(batch)["loss"] == 3 + 3 * outside
    assert mean(objective, model, batch) == pytest.approx(theirs(model, batch, smoothing, weight), rel=1e-5)


def test_ignored_labels_count_nothing(model: Any) -> None:
    batch = batch_of(Window(0, (2, 7, 8, 3), (0, 1), (1, 2), (1, IGNORED)))
    alone = batch_of(Window(0, (2, 7, 8, 3), (0,), (1,), (1,)))
    for objective in (TokenClassification(), weighted(0.1, 0.5)):
        assert objective.terms(batch) == objective.terms(alone) == {"loss": 1}
        torch.testing.assert_close(objective.loss(model, batch), objective.loss(model, alone))
    none = batch_of(Window(0, (2, 7, 3), (0,), (1,), (IGNORED,)))
    assert TokenClassification().terms(none)["loss"] == float(TokenClassification().loss(model, none)["loss"]) == 0


def test_the_loss_is_fp32_whatever_the_model_computes_in(model: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = weighted(0.1, 0.5).loss(model, batch_of(*WINDOWS))["loss"]
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(weighted(0.1, 0.5).loss(model, batch_of(*WINDOWS))["loss"]), rel=0.05)
