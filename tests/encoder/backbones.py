"""Tiny encoders of many types with random weights, made on the spot."""

from typing import Any

import torch

_SHAPES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "big_bird": {"attention_type": "original_full"},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "electra": {"embedding_size": 16},
    "longformer": {"attention_window": [8, 8]},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
    "roformer": {"embedding_size": 32},
    "squeezebert": {"embedding_size": 32},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
}
_SPECIAL_IDS = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id")


def tiny_config(kind: str, vocabulary: int = 60, **more: Any) -> Any:
    """Two layers, 32 wide, 64 positions."""
    from transformers import AutoConfig

    shape: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 66, "pad_token_id": 0, **dict.fromkeys(_SPECIAL_IDS, 1),
    }  # fmt: skip
    return AutoConfig.for_model(kind, **{**shape, **_SHAPES.get(kind, {}), **more})


def tiny_tagging(kind: str, vocabulary: int = 60, **more: Any) -> Any:
    """A model for token classification, in eval mode."""
    from transformers import AutoModelForTokenClassification

    torch.manual_seed(3)
    return AutoModelForTokenClassification.from_config(tiny_config(kind, vocabulary, **more)).eval()


def tiny_mlm(kind: str, vocabulary: int = 60, **more: Any) -> Any:
    """A masked language model, in eval mode."""
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(3)
    return AutoModelForMaskedLM.from_config(tiny_config(kind, vocabulary, **more)).eval()
