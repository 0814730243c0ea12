"""GLiNER2's folders, read as hostile like GLiNER's: their configuration, how they read words and labels, their weights.

Entries and weights for other tasks (classes, relations, structures) are left out. A text that ends with none of `.!?`
gets a full stop, which is read but is never part of an entity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.errors import InputError
from nerbert.model.backbone import load_tokenizer
from nerbert.model.folder import GLINER2, ModelFolder
from nerbert.model.gliner.config import GlinerConfig, GlinerKind, body_config, plain_config
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer
from nerbert.model.tokenizer import check_pieces, encoded
from nerbert.records import EntityLabel, Example
from nerbert.schema import read_json

if TYPE_CHECKING:
    from nerbert.model.gliner.folder import GlinerFolder

EXTRACTOR, ENCODER = "config.json", "encoder_config/config.json"
"""Its configuration, and that of its encoder, by which the folder is known."""
WORDS = "gliner2-words-1"
"""Its word splitter."""
_LABEL, _TEXT, _PROMPT, _DESCRIPTION = "[E]", "[SEP_TEXT]", "[P]", "[DESCRIPTION]"
MARKS = ("[SEP_STRUCT]", _TEXT, _PROMPT, "[C]", _LABEL, "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", _DESCRIPTION)
"""The package's marks, in the order in which a tokenizer gets those that it lacks."""
PARTS = {"encoder": "token_rep_layer.bert_layer.model", "span_rep": "span_rep_layer",
         "count_embed": "prompt_rep_layer"}  # fmt: skip
"""The package's names of a model's parts, and GLiNER's."""
_EMBEDDINGS = tuple(f"{PARTS['encoder']}.embeddings.{name}_embeddings.weight" for name in ("word", "tok"))
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


class Gliner2Pieces(PromptTokenizer):
    """Cuts examples and labels; a prompt's first place is that of its mark, which says whether there are entities."""

    reads_closing = True

    def __init__(self, tokenizer: Any, config: GlinerConfig, body: Any, **how: Any) -> None:
        super().__init__(tokenizer, config, body, **how)
        if any(len(ids) != 1 for ids in self._marks.values()):
            raise InputError(f"a mark has several pieces ({self._marks}); GLiNER2's have one each")
        self._before, self._after = (), self.pieces(["."])[0]

    def prompt(self, labels: Sequence[EntityLabel]) -> LabelPrompt:
        """Return labels' pieces, and before them those of descriptions; raise InputError if no text has room."""
        opening, closing = self.pieces(["(", ")"])
        ids, places = [*opening, *self._marks[_PROMPT], *self._described(labels), *opening], [len(opening)]
        for pieces in self.pieces([each.name for each in labels]):
            places.append(len(ids))
            ids += [*self._marks[_LABEL], *pieces]
        ids += [*closing, *closing, *self._marks[_TEXT]]
        self._check_room(labels, len(ids))
        return LabelPrompt(tuple(ids), self._after, tuple(places), own=1)

    def sizes(self, labels: Sequence[str]) -> list[int]:
        """Return how many pieces each label takes in a prompt; one with a description is counted twice."""
        sizes = super().sizes(labels)
        return [size * (1 + (": " in label)) for size, label in zip(sizes, labels, strict=True)]

    def _described(self, labels: Sequence[EntityLabel]) -> list[int]:
        """Return the pieces of the task's name, and of each label with a description."""
        texts = ["entities", *(f" {each.text}" for each in labels if each.description)]
        first, *others = self.pieces([*(f"{each} " for each in texts[:-1]), texts[-1]])
        return [*first, *(piece for each in others for piece in (*self._marks[_DESCRIPTION], *each))]

    @classmethod
    def mark_names(cls, config: GlinerConfig) -> Sequence[str]:
        """Return the package's marks."""
        return MARKS

    def _mark(self, mark: str) -> tuple[int, ...]:
        return (self.tokenizer.convert_tokens_to_ids(mark),)

    def _words(self, example: Example) -> list[str]:
        return [each.lower() for each in super()._words(example)]

    def _closing(self, prompt: LabelPrompt, text: str, end: int) -> tuple[int, ...]:
        return () if text.endswith((".", "!", "?"), 0, end) else prompt.after

    def _cut(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        found = encoded(self.tokenizer, list(words))["input_ids"]
        check_pieces([piece for each in found for piece in each], self._vocabulary)
        return list(map(tuple, found))


class Gliner2Kind(GlinerKind):
    """A folder of the package `gliner2`; it tags, and teaches a tagger, but isn't trained on."""

    marker = ENCODER
    config = EXTRACTOR
    noun = "a GLiNER2 model"
    objective = ""
    folders = (Path(ENCODER).parent.name,)
    counted = (ENCODER,)

    words = WORDS
    pieces = Gliner2Pieces

    @classmethod
    def holds(cls, path: Path) -> bool:
        """Return whether its encoder's configuration is there, and its own isn't another model's."""
        if not super().holds(path):
            return False
        return not (path / cls.config).is_file() or read_json(path / cls.config, dict).get("model_type") == GLINER2

    @classmethod
    def read(cls, path: Path) -> Gliner2Config:
        """Return its configuration; raise InputError for an architecture that can't be computed."""
        file = path / EXTRACTOR
        read = read_json(file, _ExtractorFile, remedy=_REMEDY)
        head, counting = (read.architecture or "span").strip().lower(), read.counting_layer or "count_lstm"
        own = (read.span_head.max_width if read.span_head else None) or read.max_width or _WIDTH
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
            model_name="", counting_layer=counting, boundary=boundary, max_width=_WIDTH if boundary else own,
            max_len=min(read.max_len or _MAX_LEN, _MAX_LEN if boundary else _LONGEST),
            subtoken_pooling=pooling,
            span_mode=head if boundary else "markerV0", num_rnn_layers=0, dropout=0.1,
            ent_token=_LABEL, sep_token=_TEXT,
        )  # fmt: skip

    @classmethod
    def check_start(cls, folder: ModelFolder) -> None:
        """Raise InputError: no training starts from it."""
        raise InputError(f"{folder}: a GLiNER2 model, which nerbert doesn't train: tag with it (`nerbert tag --labels`)"
                         ", or let it teach a tagger (`nerbert distil`)")  # fmt: skip

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return the configuration of its encoder."""
        return read_json(path / ENCODER, dict[str, Any])

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner.folder import GlinerFolder, build, read_weights
        from nerbert.model.gliner2.boundary import BoundarySpans
        from nerbert.model.gliner2.layers import CountedSpans

        config, weights = cls.read(path), dict[str, Any]()
        for place, tensor in read_weights(path).items():
            part, _, name = place.partition(".")
            weights[f"{PARTS.get(part, part)}.{name}"] = tensor
        tokenizer = load_tokenizer(str(path))
        tokenizer.add_tokens([*MARKS], special_tokens=True)
        body = body_config(cls.encoder(path), str(path / ENCODER))
        rows = [each.shape[0] for name, each in weights.items() if name in _EMBEDDINGS and each.ndim]
        body.vocab_size = rows[0] if rows else len(tokenizer)  # its file may hold that before marks were added
        config = replace(config, hidden_size=body.hidden_size, encoder_config=plain_config(body))
        kind = BoundarySpans if config.boundary else CountedSpans
        model = build(config, body, None, weights, str(path), kind=kind)
        return GlinerFolder(model, Gliner2Pieces(tokenizer, config, model.body))
