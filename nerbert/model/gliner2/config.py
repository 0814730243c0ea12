"""A GLiNER2 model's configuration: the entries of its `config.json` that find entities, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.errors import InputError
from nerbert.model.gliner.config import GlinerConfig
from nerbert.schema import read_json

EXTRACTOR = "config.json"
LABEL, TEXT = "[E]", "[SEP_TEXT]"
"""The package's marks before a label, and before the text."""
_HEADS = ("span", "boundary")
COUNTING = ("count_lstm", "count_lstm_v2", "count_lstm_moe")
_MAX_LEN, _LONGEST, _WIDTH = 384, 4096, 8
_Width: TypeAlias = Annotated[int, Field(ge=1, le=256)]
_Size: TypeAlias = Annotated[int, Field(ge=1, le=1 << 13)]
_Layers: TypeAlias = Annotated[int, Field(ge=0, le=64)]
_REMEDY = "the file is damaged, or of a version of gliner2 that nerbert doesn't know"
_PUBLISHED = "nerbert reads GLiNER 2.5's models in the shape in which they are published"


@dataclass(frozen=True, slots=True)
class _SpanHead:
    """Settings of the architecture `span`."""

    max_width: _Width | None = None


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
    boundary_refinement_layers: _Layers = 1
    boundary_ffn_multiplier: Annotated[float, Field(gt=0, le=64)] = 2.0
    boundary_attention_layers: _Layers = 0
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
    max_width: _Width | None = None
    max_len: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    counting_layer: str | None = None
    token_pooling: str = "first"


@dataclass(frozen=True, slots=True)
class Gliner2Config(GlinerConfig):
    """A GLiNER2 model's configuration, as that of a GLiNER model: spans by their ends, no LSTM over words.

    Folders don't say how many labels a prompt had in training; `max_types` is GLiNER's default. Where they don't say
    how many words a text had, `max_len` is 384, as in the package for long texts.
    """

    file: ClassVar[str] = EXTRACTOR
    counting_layer: str = "count_lstm"
    boundary: BoundaryHead | None = None
    joins_words: ClassVar[bool] = False

    @property
    def chooses(self) -> bool:
        """Return whether it is GLiNER 2.5's."""
        return self.boundary is not None


def read_config(file: Path) -> Gliner2Config:
    """Return a folder's configuration; raise InputError for an architecture that can't be computed."""
    read = read_json(file, _ExtractorFile, remedy=_REMEDY)
    head, counting = (read.architecture or "span").strip().lower(), read.counting_layer or "count_lstm"
    width = (read.span_head.max_width if read.span_head else None) or read.max_width or _WIDTH
    for name, value, known in (("architecture", head, _HEADS), ("counting_layer", counting, COUNTING)):
        if value not in known:
            raise InputError(f"{file}: a GLiNER2 model with {name} {value!r:.60}, which nerbert doesn't support; "
                             f"supported: {', '.join(known)}")  # fmt: skip
    boundary = read_json(file, _BoundaryFile, remedy=_PUBLISHED).boundary_head if head == "boundary" else None
    if boundary and boundary.boundary_dim % boundary.boundary_attention_heads:
        raise InputError(f"{file}: boundary_head.boundary_dim = {boundary.boundary_dim}: must be a multiple of "
                         f"boundary_attention_heads = {boundary.boundary_attention_heads}")  # fmt: skip
    pooling: Any = read.token_pooling if read.token_pooling in ("mean", "max") else "first"
    return Gliner2Config(
        model_name="", counting_layer=counting, boundary=boundary, max_width=_WIDTH if boundary else width,
        max_len=min(read.max_len or _MAX_LEN, _MAX_LEN if boundary else _LONGEST),
        subtoken_pooling=pooling,
        span_mode=head if boundary else "markerV0", num_rnn_layers=0, dropout=0.1,
        ent_token=LABEL, sep_token=TEXT,
    )  # fmt: skip
