"""GLiNER2 folders, read as hostile like GLiNER's; other weights than those for entities are left out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nerbert.model.backbone import load_tokenizer
from nerbert.model.gliner.config import body_config, plain_config
from nerbert.model.gliner.folder import GlinerFolder, build, read_weights
from nerbert.model.gliner2.config import ENCODER, EXTRACTORS, read_extractor
from nerbert.model.gliner2.prompt import MARKS, Gliner2Pieces
from nerbert.schema import read_json

PARTS = {"encoder": "token_rep_layer.bert_layer.model", "span_rep": "span_rep_layer",
         "count_embed": "prompt_rep_layer"}  # fmt: skip
"""The package's names of a model's parts, and GLiNER's."""
_EMBEDDINGS = tuple(f"{PARTS['encoder']}.embeddings.{name}_embeddings.weight" for name in ("word", "tok"))


def read_gliner2(folder: Path) -> GlinerFolder:
    """Return the model of a folder that is checked."""
    config, weights = read_extractor(folder), _renamed(read_weights(folder))
    tokenizer = load_tokenizer(str(folder))
    tokenizer.add_tokens([*MARKS], special_tokens=True)
    body = body_config(read_json(folder / ENCODER, dict[str, Any]), str(folder / ENCODER))
    rows = [each.shape[0] for name, each in weights.items() if name in _EMBEDDINGS and each.ndim]
    body.vocab_size = rows[0] if rows else len(tokenizer)  # its file may hold that before marks were added
    config = replace(config, hidden_size=body.hidden_size, encoder_config=plain_config(body))
    model = build(config, body, None, weights, str(folder), kind=EXTRACTORS.find(config.head))
    return GlinerFolder(model, Gliner2Pieces(tokenizer, config, model.body))


def _renamed(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights by the names that parts have in GLiNER's models."""
    split = ((*name.partition(".")[::2], each) for name, each in weights.items())
    return {f"{PARTS.get(part, part)}.{name}": each for part, name, each in split}
