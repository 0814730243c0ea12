"""The configuration of a GLiNER2 folder, `config.json`, checked, as a GLiNER model's.

Entries on other tasks (classes, relations, structures) are ignored: nerbert asks for entities alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from nerbert.errors import InputError
from nerbert.model.gliner.config import GlinerConfig
from nerbert.registry import Registry
from nerbert.schema import read_json

EXTRACTOR, ENCODER = "config.json", "encoder_config/config.json"
"""Its configuration, and that of its encoder, by which the folder is known."""
GLINER2 = "extractor"
"""Its `model_type`."""
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
BOUNDARY = "boundary"
COUNTING = ("count_lstm", "count_lstm_v2", "count_lstm_moe")
_MAX_LEN, _MAX_WIDTH = 384, 8
_Width: TypeAlias = Annotated[int, Field(ge=1, le=1 << 13)]
_Layers: TypeAlias = Annotated[int, Field(ge=0, le=64)]
_REMEDY = "the file is damaged, or of a version of gliner2 that nerbert doesn't know"


@dataclass(frozen=True, slots=True)
class _SpanHead:
    """Settings of the architecture `span`."""

    max_width: Annotated[int, Field(ge=1, le=1024)] | None = None


@dataclass(frozen=True, slots=True)
class BoundaryHead:
    """Settings of the architecture `boundary` that decide which entities are found, with the package's defaults."""

    boundary_dim: _Width = 128
    pair_dim: _Width = 128
    boundary_refinement_layers: _Layers = 1
    boundary_ffn_multiplier: Annotated[float, Field(gt=0, le=64)] = 2.0
    boundary_attention_layers: _Layers = 0
    boundary_attention_heads: _Width = 4
    boundary_attention_window: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """Boundaries that one sees to each side; 0: all."""
    use_inside_evidence: bool = True
    enable_span_content: bool = False
    content_dim: _Width = 64
    content_soft_max_pool: bool = False
    candidate_pool: str = "per_query"
    pool_boundary_top_k: Annotated[int, Field(ge=1, le=512)] = 64
    pool_size: Annotated[int, Field(ge=1, le=4096)] = 384
    min_pool_per_query: Annotated[int, Field(ge=0, le=4096)] = 8
    candidate_attention_layers: int = 2
    query_attention_layers: int = 1
    enable_abstention: bool = True
    abstention_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    adaptive_threshold: bool = False
    pair_temperature: Annotated[float, Field(gt=0, le=1 << 10)] = 1.0

    @property
    def unsupported(self) -> str:
        """Return the unsupported part, "" if there is none."""
        kinds = {
            f"candidate_pool {self.candidate_pool!r:.40}": self.candidate_pool != "shared",
            "attention over the pool (candidate_attention_layers)": self.candidate_attention_layers != 0,
            "attention over the pool (query_attention_layers)": self.query_attention_layers != 0,
            "thresholds by a predicted count (adaptive_threshold)": self.adaptive_threshold,
            "content_soft_max_pool": self.enable_span_content and self.content_soft_max_pool,
            "a boundary_dim that boundary_attention_heads don't divide": self.boundary_attention_layers > 0
            and self.boundary_dim % self.boundary_attention_heads > 0,
        }
        return next((name for name, here in kinds.items() if here), "")


@dataclass(frozen=True, slots=True)
class _ExtractorFile:
    """The entries of `config.json` that decide the model, with the package's defaults."""

    model_type: str = ""
    architecture: str | None = None
    span_head: _SpanHead | None = None
    boundary_head: BoundaryHead | None = None
    max_width: Annotated[int, Field(ge=1, le=1024)] | None = None
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
    boundary: BoundaryHead = BoundaryHead()

    @property
    def chooses(self) -> bool:
        """Return whether the model chooses which spans it scores."""
        return self.head == BOUNDARY


def read_extractor(folder: Path) -> Gliner2Config:
    """Return a folder's configuration; raise InputError for an invalid one, or an unsupported architecture."""
    path = folder / EXTRACTOR
    read = read_json(path, _ExtractorFile, remedy=_REMEDY)
    head, counting = (read.architecture or "span").strip().lower(), read.counting_layer or "count_lstm"
    own = (read.span_head.max_width if read.span_head else None) or read.max_width or _MAX_WIDTH
    if read.model_type != GLINER2:
        raise InputError(f"{path}: model_type is {read.model_type!r:.60}, and {ENCODER} beside it makes it a GLiNER2 "
                         f"model's, which has {GLINER2!r}; delete encoder_config if it is another model")  # fmt: skip
    for name, value, known in (("architecture", head, [*EXTRACTORS]), ("counting_layer", counting, COUNTING)):
        if value not in known:
            raise InputError(f"{path}: a GLiNER2 model with {name} {value!r:.60}, which nerbert doesn't support; "
                             f"supported: {', '.join(known)}")  # fmt: skip
    boundary, most = read.boundary_head or BoundaryHead(), read.max_len or _MAX_LEN
    if head == BOUNDARY:
        if boundary.unsupported:
            raise InputError(f"{path}: a GLiNER2 model of the architecture {BOUNDARY} with {boundary.unsupported}, "
                             "which nerbert doesn't support; it reads those with candidate_pool 'shared' and no "
                             "attention over it, as GLiNER 2.5's are")  # fmt: skip
        own, most = _MAX_WIDTH, min(most, _MAX_LEN)
    return Gliner2Config(
        model_name="", head=head, counting_layer=counting, max_width=own, max_len=most, boundary=boundary,
        subtoken_pooling=read.token_pooling if read.token_pooling in ("mean", "max") else "first",
        span_mode=BOUNDARY if head == BOUNDARY else "markerV0", num_rnn_layers=0, dropout=0.1,
        ent_token=LABEL, sep_token=TEXT,
    )  # fmt: skip
