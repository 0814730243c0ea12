"""New GLiNER models on encoders, in three architectures, as the package `gliner` would make them.

`zero` has labels before the text and scores single words (NuNER Zero), `zero_span` the same with spans (GLiNER); a
`bi_encoder` reads labels apart. The scores of spans are those of `markerV0`, which joins first and last word by a
layer; single words need no more than `marker`. Vectors keep the encoder's own width, so there is no projection, and no
LSTM stands between the encoder and the scores, which is slower (docs/results). New weights are
drawn by the seed, but for two biases, which let a span be of no type at first: most are of none.
"""

from pathlib import Path
from typing import Any

import torch

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.folder import embedded
from nerbert.model.gliner.config import Architecture, GlinerConfig, body_config, plain_config
from nerbert.model.gliner.folder import GlinerFolder
from nerbert.model.gliner.layers import GlinerModel
from nerbert.model.gliner.prompt import PromptTokenizer

ZERO: Architecture = "zero"
ZERO_SPAN: Architecture = "zero_span"
BI_ENCODER: Architecture = "bi_encoder"
_PRIOR = 0.01
"""The probability that a new model gives a span of being of a type. Source: RetinaNet (Lin et al. 2017 §4.1)."""
_DROPOUT = 0.1
"""Share of the units of the layers above the encoder that drop out. Source: ours, as in BERT; GLiNER's code has 0.4."""


def architecture_of(config: GlinerConfig) -> str:
    """Return which of the architectures a model has; "" for one that scores tokens as first and last ones."""
    if config.token_level:
        return ""
    if config.two_encoders:
        return BI_ENCODER
    return ZERO if config.max_width == 1 else ZERO_SPAN


def new_gliner(
    backbone: Backbone, labels: Backbone | None, *, architecture: Architecture, max_width: int, max_len: int,
    max_types: int = 25,
) -> GlinerFolder:  # fmt: skip
    """Return a model on the encoder of `backbone`, for a `bi_encoder` with another one that reads `labels`.

    `max_len` is how many words it reads at once, `max_types` how many types it learns to be asked for. Raise InputError
    for an encoder that can't be part of such a model.
    """
    if architecture == BI_ENCODER and labels is None:
        raise InputError("a bi_encoder needs an encoder of labels")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(backbone.seed)
        body, tokenizer = _whole_body(backbone), backbone.tokenizer
        labels_body = _whole_body(labels) if labels and architecture == BI_ENCODER else None
        config = GlinerConfig(
            model_name=_name_of(backbone), span_mode="marker" if architecture == ZERO else "markerV0",
            max_width=1 if architecture == ZERO else max_width, hidden_size=int(body.config.hidden_size),
            max_len=max_len, max_types=max_types, max_prompt_len=1, num_rnn_layers=0, dropout=_DROPOUT,
            **(_two_encoders(labels, labels_body) if labels and labels_body else _with_marks(tokenizer, body)),
            encoder_config=plain_config(body.config),
        )  # fmt: skip
        model = GlinerModel(config, body, labels_body)
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
