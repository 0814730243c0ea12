"""Small GLiNER models of our own modules, with random weights."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.model.gliner.config import GlinerConfig, body_config
from nerbert.model.gliner.layers import GlinerFolder
from nerbert.model.gliner.prompt import PromptTokenizer
from nerbert.model.gliner.weights import build, save_gliner
from nerbert.records import Example
from nerbert.words import split_words

BODY = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 96,
}
DEBERTA: dict[str, Any] = {
    "relative_attention": True,
    "position_buckets": 8,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "max_relative_positions": -1,
    "type_vocab_size": 0,
}
BODIES: dict[str, dict[str, Any]] = {
    "deberta-v2": {
        **DEBERTA,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "position_buckets": 16,
    },
    "bert": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
    },
    "modernbert": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "local_attention": 16,
        "pad_token_id": 0,
        "max_position_embeddings": 256,
    },
}
"""Small encoders of three kinds."""

Make = Callable[..., Path]


def words_of(text: str, splitter: str = "gliner-words-1") -> Example:
    """Return an example of a text, in the words of GLiNER's models."""
    return Example(text, split_words(text, splitter))


def write_model(folder: Path, tokenizer: Any, **settings: Any) -> Path:
    """Write a model of these settings with random weights into a new folder, and return it."""
    tokenizer = deepcopy(tokenizer)
    tokenizer.add_tokens(["<<ENT>>", "<<SEP>>"], special_tokens=True)
    size = len(tokenizer)
    body = {**BODY, "vocab_size": size, **settings.pop("body", {})}
    two = settings.get("labels_encoder") is not None
    config = GlinerConfig(
        **{
            "hidden_size": 12,
            "max_width": 3,
            "max_len": 30,
            "encoder_config": body,
            "class_token_index": size - 2,
            "vocab_size": size,
            "labels_encoder_config": body if two else None,
            **settings,
        }
    )
    torch.manual_seed(3)
    model = build(config, body_config(body, "body"), body_config(body, "body") if two else None, None, "random")
    for parameter in model.parameters():
        parameter.mul_(2)
    labels = PromptTokenizer(tokenizer, config, model.labels_body, for_labels=True) if two else None
    folder.mkdir()
    save_gliner(folder, GlinerFolder(model, PromptTokenizer(tokenizer, config, model.body), labels))
    return folder


@pytest.fixture
def make(tokenizers: dict[str, Any], tmp_path: Path) -> Make:
    """Write a folder with a model of these settings, and return it."""
    return lambda name="model", **settings: write_model(tmp_path / name, tokenizers["wordpiece"], **settings)
