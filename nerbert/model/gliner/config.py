"""GLiNER's and GLiNER2's configurations, checked; missing keys have the packages' defaults of today."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.errors import InputError, at, refused
from nerbert.model.backbone import quiet
from nerbert.model.folder import MARKERS
from nerbert.schema import parse_json, read_json

GLINER = MARKERS["gliner"]
PICKLED = "pytorch_model.bin"
"""Its file, and a file of weights that is read only where there is no model.safetensors."""
FOLDERS = ("backbone", "labels_backbone", "labels_tokenizer")
"""Folders that may be in a model's own: the first two are nerbert's own way to hold what a first version only names."""
WORDS = "gliner-words-1"
"""Its word splitter."""
Architecture = Literal["zero", "zero_span", "bi_encoder"]
"""Labels before the text and single words, the same with spans, and labels with an encoder of their own."""
BODIES = frozenset(
    "albert bert camembert deberta deberta-v2 distilbert electra eurobert modernbert mpnet nomic_bert rembert roberta "
    "xlm-roberta".split()
)
"""Types of encoder that may be a model's body."""
_LEFT_OUT = (
    "auto_map",
    "quantization_config",
    "dtype",
    "torch_dtype",
    "torchscript",
    "model_type",
    "attn_implementation",
    "experts_implementation",
    "num_labels",
    "id2label",
    "label2id",
    "problem_type",
    "pruned_heads",
    "per_layer_config",
    "chunk_size_feed_forward",
    "output_hidden_states",
    "output_attentions",
    "return_dict",
    "use_cache",
    "is_decoder",
    "is_encoder_decoder",
    "add_cross_attention",
    "sinusoidal_pos_embds",
    "sub_configs",
)
"""What of a body's configuration is about how it was loaded or called, its head, or weights before training. Names with
an underscore in front are left out too; `attn_implementation` may name code."""
_NOT_OURS = ("_name_or_path", "architectures", "id2label", "label2id")
"""Entries of an encoder's configuration on its origin, and another head."""

_Width: TypeAlias = Annotated[int, Field(ge=1, le=1 << 15)]
_Count: TypeAlias = Annotated[int, Field(ge=1, le=1 << 20)]
_Layers: TypeAlias = Annotated[int, Field(ge=1, le=256)]

_HEADS = ("span", "boundary")
COUNTING = ("count_lstm", "count_lstm_v2", "count_lstm_moe")
_MAX_LEN, _LONGEST, _WIDTH = 384, 4096, 8
_SpanWidth: TypeAlias = Annotated[int, Field(ge=1, le=256)]
_Size: TypeAlias = Annotated[int, Field(ge=1, le=1 << 13)]
_FewLayers: TypeAlias = Annotated[int, Field(ge=0, le=64)]
_REMEDY = "the file is damaged, or of a version of gliner2 that nerbert doesn't know"
_PUBLISHED = "nerbert reads GLiNER 2.5's models in the shape in which they are published"


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
        return self.span_mode == "token_level"

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

    # Read as hostile: sizes are bounded before a model of them takes memory.
    sizes = parse_json(json.dumps(values), _BodySizes, entry, remedy="the file is damaged")
    with at(entry):
        if sizes.model_type not in BODIES:
            raise InputError(
                f"a zero-shot model on {sizes.model_type!r:.60}, which nerbert doesn't support; supported "
                f"are {', '.join(sorted(BODIES))}"
            )
        with quiet(), refused("no encoder's configuration"):
            kept = {name: value for name, value in values.items() if name not in _LEFT_OUT and name[:1] != "_"}
            return AutoConfig.for_model(sizes.model_type, **kept)


@dataclass(frozen=True, slots=True)
class _SpanHead:
    """Settings of the architecture `span`."""

    max_width: _SpanWidth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryHead:
    """Settings of the architecture `boundary`, with the package's defaults; others than a `Literal` are refused."""

    candidate_pool: Literal["shared"]
    candidate_attention_layers: Literal[0]
    query_attention_layers: Literal[0]
    enable_span_content: Literal[True]
    content_soft_max_pool: Literal[False] = False
    use_inside_evidence: Literal[True] = True
    enable_abstention: Literal[True] = True
    adaptive_threshold: Literal[False] = False
    boundary_dim: _Size = 128
    pair_dim: _Size = 128
    content_dim: _Size = 64
    boundary_refinement_layers: _FewLayers = 1
    boundary_ffn_multiplier: Annotated[float, Field(gt=0, le=64)] = 2.0
    boundary_attention_layers: _FewLayers = 0
    boundary_attention_heads: _Size = 4
    boundary_attention_window: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """Boundaries that one sees to each side; 0: all."""
    pool_boundary_top_k: Annotated[int, Field(ge=1, le=512)] = 64
    pool_size: Annotated[int, Field(ge=1, le=4096)] = 384
    min_pool_per_query: Annotated[int, Field(ge=0, le=4096)] = 8
    abstention_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    pair_temperature: Annotated[float, Field(gt=0, le=1 << 10)] = 1.0


@dataclass(frozen=True, slots=True)
class _BoundaryFile:
    """The entry of `config.json` with its settings, which is read of no other architecture."""

    boundary_head: BoundaryHead


@dataclass(frozen=True, slots=True)
class _ExtractorFile:
    """The entries of `config.json` that decide the model, with the package's defaults."""

    architecture: str | None = None
    span_head: _SpanHead | None = None
    max_width: _SpanWidth | None = None
    max_len: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    counting_layer: str | None = None
    token_pooling: str = "first"


def _read_boundary(file: Path) -> BoundaryHead:
    head = read_json(file, _BoundaryFile, remedy=_PUBLISHED).boundary_head
    if head.boundary_dim % head.boundary_attention_heads:
        raise InputError(
            f"{file}: boundary_head.boundary_dim = {head.boundary_dim}: must be a multiple of "
            f"boundary_attention_heads = {head.boundary_attention_heads}"
        )
    return head


@dataclass(frozen=True, slots=True)
class Gliner2Config(GlinerConfig):
    """A GLiNER2 model's configuration, as that of a GLiNER model: spans by their ends, no LSTM over words.

    Folders don't say how many labels a prompt had in training; `max_types` is GLiNER's default. Where they don't say
    how many words a text had, `max_len` is 384, as in the package for long texts.
    """

    file: ClassVar[str] = "config.json"
    ent_token: str = "[E]"
    sep_token: str = "[SEP_TEXT]"
    counting_layer: str = "count_lstm"
    boundary: BoundaryHead | None = None
    joins_words: ClassVar[bool] = False

    @property
    def chooses(self) -> bool:
        """Return whether it is GLiNER 2.5's."""
        return self.boundary is not None

    @classmethod
    def read(cls, file: Path) -> "Gliner2Config":
        """Return a folder's configuration; raise InputError for an architecture that can't be computed."""
        read = read_json(file, _ExtractorFile, remedy=_REMEDY)
        head = (read.architecture or "span").strip().lower()
        counting = read.counting_layer or "count_lstm"
        width = (read.span_head.max_width if read.span_head else None) or read.max_width or _WIDTH
        for name, value, known in (("architecture", head, _HEADS), ("counting_layer", counting, COUNTING)):
            if value not in known:
                raise InputError(
                    f"{file}: a GLiNER2 model with {name} {value!r:.60}, which nerbert doesn't support; "
                    f"supported: {', '.join(known)}"
                )
        boundary = _read_boundary(file) if head == "boundary" else None
        pooling: Any = read.token_pooling if read.token_pooling in ("mean", "max") else "first"
        return cls(
            model_name="",
            counting_layer=counting,
            boundary=boundary,
            max_width=_WIDTH if boundary else width,
            max_len=min(read.max_len or _MAX_LEN, _MAX_LEN if boundary else _LONGEST),
            subtoken_pooling=pooling,
            span_mode=head if boundary else "markerV0",
            num_rnn_layers=0,
            dropout=0.1,
        )
