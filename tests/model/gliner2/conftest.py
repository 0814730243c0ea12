"""Small GLiNER2 models of our own modules, with random weights, in folders as the package `gliner2` writes them."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nerbert.model.gliner.config import BoundaryHead, Gliner2Config, body_config
from nerbert.model.gliner.folder import MARKS, PARTS
from nerbert.model.gliner.gliner2_layers import BoundarySpans, CountedSpans
from nerbert.model.gliner.weights import build

BODY = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 160,
}
BOUNDARY = {
    "candidate_pool": "shared",
    "pool_boundary_top_k": 12,
    "pool_size": 40,
    "min_pool_per_query": 3,
    "candidate_attention_layers": 0,
    "query_attention_layers": 0,
    "boundary_attention_layers": 2,
    "boundary_attention_heads": 2,
    "boundary_attention_window": 5,
    "enable_span_content": True,
    "content_dim": 8,
    "boundary_dim": 16,
    "pair_dim": 16,
    "pair_temperature": 3.0,
}
"""`boundary_head` in the shape of published folders, smaller."""

Make = Callable[..., Path]


def write_model(
    folder: Path, tokenizer: Any, counting: str = "count_lstm_v2", instances: int = 2, **config: Any
) -> Path:
    """Write a model with random weights that expects so many instances in a text into a new folder, and return it."""
    tokenizer = deepcopy(tokenizer)
    tokenizer.add_tokens(list(MARKS), special_tokens=True)
    body = {**BODY, "vocab_size": len(tokenizer)}
    own = Gliner2Config(hidden_size=16, max_width=3, num_rnn_layers=0, counting_layer=counting)
    torch.manual_seed(3)
    model = build(own, body_config(body, "body"), None, None, "random", model_class=CountedSpans)
    for parameter in model.parameters():
        if parameter.any():
            parameter.mul_(2)
        else:  # experts' weights begin as zeros
            parameter.normal_(std=0.3)
    weights = dict(model.state_dict())
    weights["count_pred.2.weight"].zero_()
    weights["count_pred.2.bias"].copy_(torch.eye(20)[instances])
    for theirs, ours in PARTS.items():
        weights = {name.replace(f"{ours}.", f"{theirs}.", 1): each for name, each in weights.items()}
    weights["classifier.0.weight"] = torch.ones(3, 16)
    (folder / "encoder_config").mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "extractor",
                "architecture": "span",
                "architectures": ["SpanExtractor"],
                "config_version": 3,
                "counting_layer": counting,
                "token_pooling": "first",
                "span_head": {"max_width": 3},
                **config,
            }
        )
    )
    (folder / "encoder_config" / "config.json").write_text(json.dumps(body))
    tokenizer.save_pretrained(folder)
    return folder


def write_boundary(folder: Path, **settings: Any) -> Path:
    """Make a model's folder one of the architecture `boundary` with these settings, and return it."""
    head = {**BOUNDARY, **settings}
    body = body_config(json.loads((folder / "encoder_config" / "config.json").read_text()), "body")
    own = Gliner2Config(span_mode="boundary", hidden_size=16, num_rnn_layers=0, boundary=BoundaryHead(**head))
    torch.manual_seed(3)
    model: Any = build(own, body, None, None, "random", model_class=BoundarySpans)
    for place, each in model.named_parameters():
        if each.ndim > 1:
            each.normal_(0, 1 if "embed" in place else 1.5 * each.shape[1] ** -0.5)
    model.boundary_head["shared_pool_scorer"].film_output[3].bias.add_(26.0)  # half of log-odds are above 0
    weights = {place.replace(PARTS["encoder"], "encoder"): each for place, each in model.state_dict().items()}
    weights |= {"boundary_head.pair_scorer.compat_mix.bias": torch.ones(1), "classifier.0.weight": torch.ones(3, 16)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "extractor",
                "architecture": "boundary",
                "config_version": 3,
                "token_pooling": "first",
                "max_len": 4096,
                "boundary_head": {**head, "rotary_base": 1e4, "record_dim": 16},
            }
        )
    )
    return folder


@pytest.fixture
def make(tokenizers: dict[str, Any], tmp_path: Path) -> Make:
    """Write a folder with a model of these settings that expects so many instances in a text, and return it."""
    return lambda name="model", *more, **settings: write_model(
        tmp_path / name, tokenizers["wordpiece"], *more, **settings
    )


@pytest.fixture
def make_boundary(make: Make) -> Make:
    """Write a folder with a model of the architecture `boundary` with these settings, and return it."""
    return lambda name="model", **settings: write_boundary(make(name), **settings)
