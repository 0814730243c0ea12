"""The configuration of a GLiNER2 folder, `config.json`, checked, as a GLiNER model's.

Entries on other tasks (classes, relations, structures) are ignored: nerbert asks for entities alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.errors import InputError
from nerbert.model.gliner.config import GlinerConfig
from nerbert.registry import Registry
from nerbert.schema import read_json

EXTRACTOR, ENCODER = "config.json", "encoder_config/config.json"
"""Its configuration, and that of its encoder, by which the folder is known."""
WORDS = "gliner2-words-1"
"""Its word splitter."""
EXTRACTORS: Registry[type] = Registry(
    "architecture of GLiNER2",
    {"span": "nerbert.model.gliner2.layers:CountedSpans", "boundary": "nerbert.model.gliner2.boundary:BoundarySpans"},
    "nerbert.model.gliner.layers:GlinerModel",
)  # fmt: skip
"""What computes an architecture, by the name that `config.json` has for it."""
LABEL, TEXT = "[E]", "[SEP_TEXT]"
"""The marks of a label and of a text."""
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
    head: str = "span"
    counting_layer: str = "count_lstm"
    boundary: BoundaryHead | None = None
    joins_words: ClassVar[bool] = False

    @property
    def chooses(self) -> bool:
        """Return whether it is GLiNER 2.5's."""
        return self.boundary is not None


def read_extractor(folder: Path) -> Gliner2Config:
    """Return a folder's configuration; raise InputError for an invalid one, or an unsupported architecture."""
    path = folder / EXTRACTOR
    read = read_json(path, _ExtractorFile, remedy=_REMEDY)
    head, counting = (read.architecture or "span").strip().lower(), read.counting_layer or "count_lstm"
    own = (read.span_head.max_width if read.span_head else None) or read.max_width or _WIDTH
    for name, value, known in (("architecture", head, [*EXTRACTORS]), ("counting_layer", counting, COUNTING)):
        if value not in known:
            raise InputError(f"{path}: a GLiNER2 model with {name} {value!r:.60}, which nerbert doesn't support; "
                             f"supported: {', '.join(known)}")  # fmt: skip
    boundary = read_json(path, _BoundaryFile, remedy=_PUBLISHED).boundary_head if head == "boundary" else None
    if boundary and boundary.boundary_dim % boundary.boundary_attention_heads:
        raise InputError(f"{path}: boundary_head.boundary_dim = {boundary.boundary_dim}: must be a multiple of "
                         f"boundary_attention_heads = {boundary.boundary_attention_heads}")  # fmt: skip
    return Gliner2Config(
        model_name="", head=head, counting_layer=counting, boundary=boundary, max_width=_WIDTH if boundary else own,
        max_len=min(read.max_len or _MAX_LEN, _MAX_LEN if boundary else _LONGEST),
        subtoken_pooling=read.token_pooling if read.token_pooling in ("mean", "max") else "first",
        span_mode=head if boundary else "markerV0", num_rnn_layers=0, dropout=0.1,
        ent_token=LABEL, sep_token=TEXT,
    )  # fmt: skip
