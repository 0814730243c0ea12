"""The tagging objective and head (NER-BERT §3): a linear layer over the first piece of each word.

The model is `transformers`' own token-classification model, so every result is a folder that its pipeline loads.
"""

from typing import Any

import torch

from nerbert.training.batches import IGNORED, Batch


def tagging_loss(model: Any, batch: Batch) -> tuple[torch.Tensor, int]:
    """Sum of cross-entropies over first pieces, and how many there are; `IGNORED` labels give nothing."""
    logits = word_logits(model, batch)
    loss = torch.nn.functional.cross_entropy(logits.float(), batch.labels, ignore_index=IGNORED, reduction="sum")
    return loss, int((batch.labels != IGNORED).sum())


def word_logits(model: Any, batch: Batch) -> torch.Tensor:
    """(words, labels): the head's output at the first piece of each word of the batch."""
    logits: torch.Tensor = model(input_ids=batch.ids, attention_mask=batch.mask).logits
    return logits[batch.rows, batch.columns]


def renew_head(model: Any, seed: int) -> None:
    """Give the head fresh weights: normal with the model's own range, biases 0, norms 1; the encoder stays."""
    generator = torch.Generator().manual_seed(seed)
    spread = float(getattr(model.config, "initializer_range", 0.02))
    body = model.base_model
    inside = {id(parameter) for parameter in body.parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if id(parameter) in inside:
                continue
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
