"""A model of a few numbers, and windows for it."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch

from nerbert.model.forward import Batch
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.training.objective import Objective


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """Make a one-layer BERT tagger with seeded weights; the same arguments give the same weights."""
    from transformers import BertConfig, BertForTokenClassification

    def make(dropout: float = 0.0) -> Any:
        torch.set_num_threads(1)
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=50, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64,
            max_position_embeddings=32, num_labels=3, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        )  # fmt: skip
        return BertForTokenClassification(config)

    return make


class Plain(Objective):
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
