"""What tests of trainings share: a model of a few numbers, data of all windows, weights, and the log."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForTokenClassification

from nerbert.model.windows import Windows
from nerbert.training.batches import TrainingData


def tiny_model(dropout: float = 0.0, layers: int = 1) -> Any:
    """A BERT tagger with seeded weights; the same arguments give the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=50,
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=1,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=3,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertForTokenClassification(config)


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
