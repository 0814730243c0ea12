"""Heads: `transformers`' own, run over the pieces that are asked for alone, and given fresh weights by seed.

The choice: the whole model is called as it is, and a hook on its body hands the head the chosen pieces' states in place
of all. So dropout, head and classifier cost what is read off, not what is padded: a language model's head over 30,000
pieces is larger than its body. The price: a head must look at each piece alone. Those of the types in `POINTWISE` are
held to the full logits in the tests; any other model's head runs over all pieces, which is right but slower.
"""

import contextlib
from collections.abc import Collection, Iterator
from threading import get_ident
from typing import Any

import torch

from nerbert.model.batch import Batch

POINTWISE = frozenset(
    "albert bert big_bird camembert convbert data2vec-text deberta deberta-v2 distilbert electra ernie eurobert gte "
    "jina_embeddings_v3 longformer megatron-bert mobilebert modernbert mpnet nomic_bert rembert roberta "
    "roberta-prelayernorm roc_bert roformer squeezebert xlm-roberta xlm-roberta-xl".split()
)
"""Model types whose tagging and language-model heads look at each piece alone."""


def logits_at(model: Any, batch: Batch) -> torch.Tensor:
    """(terms, classes): the head's output at the batch's rows and columns."""
    body = model.base_model if _kind(model) in POINTWISE else None
    with _chosen_only(body, batch) as handed:
        logits: torch.Tensor = model(input_ids=batch.ids, attention_mask=batch.mask).logits
    return logits[0] if handed else logits[batch.rows, batch.columns]


def _kind(model: Any) -> str:
    return str(getattr(getattr(model, "config", None), "model_type", ""))


@contextlib.contextmanager
def _chosen_only(body: Any, batch: Batch) -> Iterator[list[bool]]:
    """Within, `body` gives its last states at the batch's places, (1, terms, width); the list is empty until it has.

    Calls from other threads are left alone.
    """
    handed: list[bool] = []
    mine = get_ident()

    def choose(_body: Any, _inputs: Any, output: Any) -> Any:
        if get_ident() != mine:
            return output
        handed.append(True)
        states = output[0][batch.rows, batch.columns].unsqueeze(0)
        if isinstance(output, tuple):
            return (states, *output[1:])
        output[next(iter(output))] = states
        return output

    handle = body.register_forward_hook(choose) if body is not None else None
    try:
        yield handed
    finally:
        if handle is not None:
            handle.remove()


def renew_head(model: Any, seed: int, only: Collection[str] | None = None) -> None:
    """Give the head fresh weights: normal with the model's own range, biases 0, norms 1; the encoder stays.

    What the head shares with the encoder (a tied decoder) stays too; with `only`, so does what has another name.
    """
    generator = torch.Generator().manual_seed(seed)
    spread = float(getattr(model.config, "initializer_range", 0.02))
    inside = {id(parameter) for parameter in model.base_model.parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if id(parameter) in inside or (only is not None and name not in only):
                continue
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
