"""GLiNER's folders: their kind, and their configuration, `gliner_config.json`, checked: folders come from anywhere.

Missing keys have the package's defaults of today. Unsupported architectures are refused before weights are read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.errors import InputError, at, refused
from nerbert.model.backbone import quiet
from nerbert.model.folder import EXPORTED, WEIGHTS, ModelFolder, ModelKind
from nerbert.model.gliner.prompt import PromptTokenizer
from nerbert.schema import parse_json, read_json

if TYPE_CHECKING:
    from nerbert.model.gliner.folder import GlinerFolder

GLINER, PICKLED = "gliner_config.json", "pytorch_model.bin"
"""Its configuration, and a file of weights that is read only where there is no model.safetensors."""
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
_REMEDY = "nerbert reads GLiNER models that score spans (marker, markerV0) or tokens by given labels"
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


def body_config(values: dict[str, Any], place: str) -> Any:
    """Return the configuration of an encoder from what a GLiNER folder holds of it; `place` is for errors."""
    from transformers import AutoConfig

    sizes = parse_json(json.dumps(values), _BodySizes, place, remedy="the file is damaged")
    with at(place):
        if sizes.model_type not in BODIES:
            raise InputError(f"a zero-shot model on {sizes.model_type!r:.60}, which nerbert doesn't support; supported "
                             f"are {', '.join(sorted(BODIES))}")  # fmt: skip
        with quiet(), refused("no encoder's configuration"):
            kept = {name: value for name, value in values.items() if name not in _LEFT_OUT and name[:1] != "_"}
            return AutoConfig.for_model(sizes.model_type, **kept)


class GlinerKind(ModelKind):
    """A folder of the package `gliner`."""

    marker = GLINER
    config = GLINER
    head = "gliner"
    noun = "a GLiNER model"
    objective = "zero_shot"
    folders: ClassVar[tuple[str, ...]] = FOLDERS
    counted = tuple(f"{folder}/*.json" for folder in FOLDERS)
    pickled = (PICKLED,)
    words: ClassVar[str] = WORDS
    pieces: ClassVar[type[PromptTokenizer]] = PromptTokenizer
    """What cuts its texts."""

    @classmethod
    def check(cls, folder: ModelFolder) -> None:
        """Raise InputError if it has no weights, or an architecture that can't be computed."""
        cls.read(folder.path)
        if not any((folder.path / name).is_file() for name in (WEIGHTS, PICKLED, EXPORTED[0])):
            raise InputError(f"{folder}: holds {cls.config}, but neither {WEIGHTS} nor {PICKLED}: its weights are "
                             "missing")  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> GlinerConfig:
        """Return its configuration; raise InputError for an architecture that can't be computed."""
        file = path / GLINER
        config = read_json(file, GlinerConfig, remedy=_REMEDY)
        what = (
            f"span_mode {config.span_mode!r:.40}" if config.span_mode not in ("marker", "markerV0", TOKEN_LEVEL)
            else "a streaming decoder" if "streaming" in (config.model_type or "")
            else "post-fusion" if config.two_encoders and config.post_fusion_schema else ""
        )  # fmt: skip
        if what:
            raise InputError(f"{file}: a GLiNER model with {what}; {_REMEDY}")
        return config

    @classmethod
    def card(cls, path: Path) -> dict[str, Any]:
        """Return its head, its word splitter and its decoding."""
        return {"head": cls.head, "word_splitter": cls.words, "decoding": "flat"}

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return the configuration of its encoder of texts, or its own if it only names that one."""
        return cls.read(path).encoder_config or super().encoder(path)

    @classmethod
    def scoring(cls, path: Path) -> str:
        """Return what it scores, and how it reads labels."""
        config = cls.read(path)
        together = f"labels are read with the text, {config.max_types} at a time"
        cost = "each label is encoded once, so thousands cost little" if config.two_encoders else together
        return f"{config.scored}; {cost}"

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner.folder import read_gliner

        return read_gliner(path)

    @classmethod
    def convert(cls, source: Path, folder: Path) -> None:
        """Write pickled weights into another folder, as safetensors."""
        from safetensors.torch import save_file

        from nerbert.model.gliner.folder import read_weights

        save_file({name: each.contiguous().clone() for name, each in read_weights(source).items()}, folder / WEIGHTS)


def gliner_kind(folder: ModelFolder) -> type[GlinerKind]:
    """Return which kind of GLiNER's folders one is; raise InputError for another kind."""
    kind = folder.kind
    if not issubclass(kind, GlinerKind):
        raise InputError(f"{folder}: {kind.noun}, not a GLiNER model")
    return kind
