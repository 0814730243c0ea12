"""A GLiNER model's configuration, `gliner_config.json`, checked: folders come from anywhere.

Missing keys have the package's defaults of today.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.errors import InputError, at, refused
from nerbert.model.backbone import quiet
from nerbert.schema import parse_json

GLINER, PICKLED = "gliner_config.json", "pytorch_model.bin"
"""Its file, and a file of weights that is read only where there is no model.safetensors."""
BACKBONE, LABELS_BACKBONE, LABELS_TOKENIZER = "backbone", "labels_backbone", "labels_tokenizer"
FOLDERS = (BACKBONE, LABELS_BACKBONE, LABELS_TOKENIZER)
"""Folders that may be in a model's own: the first two are nerbert's own way to hold what a first version only names."""
WORDS = "gliner-words-1"
"""Its word splitter."""
TOKEN_LEVEL = "token_level"
Architecture = Literal["zero", "zero_span", "bi_encoder"]
"""Labels before the text and single words, the same with spans, and labels with an encoder of their own."""
BODIES = frozenset(
    "albert bert camembert deberta deberta-v2 distilbert electra eurobert modernbert mpnet nomic_bert rembert roberta "
    "xlm-roberta".split()
)
"""Types of encoder that may be a model's body."""
_LEFT_OUT = (
    "auto_map", "quantization_config", "dtype", "torch_dtype", "torchscript", "model_type", "attn_implementation",
    "experts_implementation", "num_labels", "id2label", "label2id", "problem_type", "pruned_heads", "per_layer_config",
    "chunk_size_feed_forward", "output_hidden_states", "output_attentions", "return_dict", "use_cache", "is_decoder",
    "is_encoder_decoder", "add_cross_attention", "sinusoidal_pos_embds", "sub_configs",
)  # fmt: skip
"""What of a body's configuration is about how it was loaded or called, its head, or weights before training. Names with
an underscore in front are left out too; `attn_implementation` may name code."""
_NOT_OURS = ("_name_or_path", "architectures", "id2label", "label2id")
"""Entries of an encoder's configuration on its origin, and another head."""

_Width: TypeAlias = Annotated[int, Field(ge=1, le=1 << 15)]
_Count: TypeAlias = Annotated[int, Field(ge=1, le=1 << 20)]
_Layers: TypeAlias = Annotated[int, Field(ge=1, le=256)]


@dataclass(frozen=True, slots=True)
class _BodySizes:
    """The sizes in a body's configuration, by all names that the types have for them."""

    model_type: str = "deberta-v2"
    vocab_size: Annotated[int, Field(ge=1, le=1 << 23)] = 1
    hidden_size: _Width = 1
    dim: _Width = 1
    embedding_size: _Width = 1
    head_dim: _Width | None = 1
    intermediate_size: _Count = 1
    hidden_dim: _Count = 1
    num_hidden_layers: _Layers = 1
    num_hidden_groups: _Layers = 1
    inner_group_num: _Layers = 1
    n_layers: _Layers = 1
    num_attention_heads: _Width = 1
    max_position_embeddings: _Count = 1
    type_vocab_size: Annotated[int, Field(ge=0, le=1 << 15)] = 0
    position_buckets: Annotated[int, Field(ge=-1, le=1 << 15)] = 0
    max_relative_positions: Annotated[int, Field(ge=-1, le=1 << 15)] = 0


@dataclass(frozen=True, slots=True)
class GlinerConfig:
    """The entries of `gliner_config.json` that decide the model, with the package's defaults."""

    file: ClassVar[str] = GLINER
    model_name: str = "microsoft/deberta-v3-small"
    model_type: str | None = ""
    span_mode: str = "markerV0"
    max_width: Annotated[int, Field(ge=1, le=1024)] = 12
    hidden_size: _Width = 512
    max_len: _Count = 384
    max_types: _Count = 25
    """Most labels that a prompt had in training."""
    max_prompt_len: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """Most pieces that they took there; nerbert's own key. 0: not known."""
    num_rnn_layers: Annotated[int, Field(ge=-1, le=16)] = 1
    dropout: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Of the layers above the encoders, in training."""
    subtoken_pooling: Literal["first", "last", "mean", "max"] = "first"
    """How a word's vector is made from its pieces."""
    words_splitter_type: Literal["whitespace"] = "whitespace"
    embed_ent_token: bool = True
    class_token_index: int = -1
    vocab_size: int = -1
    ent_token: str = "<<ENT>>"
    sep_token: str = "<<SEP>>"
    encoder_config: dict[str, Any] | None = None
    labels_encoder: str | None = None
    labels_encoder_config: dict[str, Any] | None = None
    labels_decoder: None = None
    relations_layer: None = None
    span_encoder_config: None = None
    post_fusion_schema: str | None = ""
    fuse_layers: Literal[False] = False
    represent_spans: Literal[False] = False

    @property
    def token_level(self) -> bool:
        """Return whether words are scored as first, last and inner ones, and not spans."""
        return self.span_mode == TOKEN_LEVEL

    @property
    def chooses(self) -> bool:
        """Return whether the model chooses which spans it scores."""
        return False

    @property
    def joins_words(self) -> bool:
        """Return whether single words are scored, and adjacent ones of a label are one entity."""
        return self.max_width == 1 and not self.token_level

    @property
    def two_encoders(self) -> bool:
        """Return whether labels have their own encoder, instead of a place before the text."""
        return self.labels_encoder is not None

    @property
    def architecture(self) -> Architecture | Literal[""]:
        """Return which architecture it is; "" for one that scores words as first, last and inner ones."""
        usual: Architecture = "zero" if self.joins_words else "zero_span"
        return "" if self.token_level else "bi_encoder" if self.two_encoders else usual

    @property
    def scored(self) -> str:
        """Return in words what is scored."""
        if self.token_level:
            return "words as first, last and inner ones"
        if self.chooses:
            return "spans of any length"
        return "single words" if self.max_width == 1 else f"spans of at most {self.max_width} words"


def plain_config(body: Any) -> dict[str, Any]:
    """Return an encoder's configuration as a dict, without its origin and another head."""
    return {name: value for name, value in body.to_dict().items() if name not in _NOT_OURS}


def body_config(values: dict[str, Any], entry: str) -> Any:
    """Return the configuration of an encoder from what a GLiNER folder holds of it; `entry` is for errors."""
    from transformers import AutoConfig

    sizes = parse_json(json.dumps(values), _BodySizes, entry, remedy="the file is damaged")
    with at(entry):
        if sizes.model_type not in BODIES:
            raise InputError(f"a zero-shot model on {sizes.model_type!r:.60}, which nerbert doesn't support; supported "
                             f"are {', '.join(sorted(BODIES))}")  # fmt: skip
        with quiet(), refused("no encoder's configuration"):
            kept = {name: value for name, value in values.items() if name not in _LEFT_OUT and name[:1] != "_"}
            return AutoConfig.for_model(sizes.model_type, **kept)
