"""New GLiNER models on encoders, as the package `gliner` would make them; without a projection."""

from pathlib import Path
from typing import Any

import torch

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.folder import embedded
from nerbert.model.gliner.architectures import Architecture
from nerbert.model.gliner.config import GlinerConfig, body_config, plain_config
from nerbert.model.gliner.folder import GlinerFolder
from nerbert.model.gliner.prompt import PromptTokenizer

_PRIOR = 0.01
"""The probability that a new model gives a span of being of a type. Source: RetinaNet (Lin et al. 2017 §4.1)."""


def new_gliner(
    backbone: Backbone, labels: Backbone | None, *, architecture: type[Architecture], max_width: int, max_len: int,
    max_types: int = 25, lstm: bool = False, dropout: float = 0.1,
) -> GlinerFolder:  # fmt: skip
    """Return a model on the encoder of `backbone`, for two encoders with another one that reads `labels`.

    `max_len` is how many words it reads at once, `max_types` how many types a prompt has in training. With `lstm` one
    layer reads the words of a text in both directions, if labels have no encoder. `dropout` is that of the layers above
    the encoder. Raise InputError for an encoder that can't be part of such a model.
    """
    if architecture.two_encoders and labels is None:
        raise InputError(f"a {architecture.name} needs an encoder of labels")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(backbone.seed)
        body, tokenizer = _whole_body(backbone), backbone.tokenizer
        labels_body = _whole_body(labels) if labels and architecture.two_encoders else None
        config = GlinerConfig(
            model_name=_name_of(backbone), hidden_size=int(body.config.hidden_size), max_len=max_len,
            max_types=max_types, max_prompt_len=1, num_rnn_layers=int(lstm), dropout=dropout,
            **(_two_encoders(labels, labels_body) if labels and labels_body else _with_marks(tokenizer, body)),
            encoder_config=plain_config(body.config), **architecture.config(max_width),
        )  # fmt: skip
        model = architecture.model(config, body, labels_body)
        model.expect(_PRIOR)
    apart = PromptTokenizer(labels.tokenizer, config, labels_body, for_labels=True) if labels and labels_body else None
    return GlinerFolder(model, PromptTokenizer(tokenizer, config, body), apart)


def _two_encoders(labels: Backbone, body: Any) -> dict[str, Any]:
    return {"labels_encoder": _name_of(labels), "labels_encoder_config": plain_config(body.config)}


def _with_marks(tokenizer: Any, body: Any) -> dict[str, Any]:
    """Give tokenizer and encoder the marks of a prompt, if they lack them, and return what a configuration says."""
    config = GlinerConfig()
    tokenizer.add_tokens([config.ent_token, config.sep_token], special_tokens=True)
    if len(tokenizer) > int(body.config.vocab_size):  # some encoders have rows to spare
        body.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = tokenizer.convert_tokens_to_ids([config.ent_token])
    return {"class_token_index": ids[0], "vocab_size": len(tokenizer)}


def _whole_body(backbone: Backbone) -> Any:
    """Return an encoder as `AutoModel` makes it, which the package loads; a part that it lacks is not trained."""
    from transformers import AutoModel

    own = backbone.load_body()
    body_config(own.config.to_dict(), backbone.source)
    whole = AutoModel.from_config(own.config)
    missing, strange = whole.load_state_dict(own.state_dict(), strict=False)
    if strange:
        raise InputError(f"{backbone.source}: {len(strange)} weights have no place in an encoder, say {strange[0]}")
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_(name not in missing)
    return whole.float()


def _name_of(backbone: Backbone) -> str:
    """Return the name of an encoder on the hub, or the last part of its folder's."""
    path = Path(embedded(backbone.source))
    return path.resolve().name if path.is_dir() else backbone.source
