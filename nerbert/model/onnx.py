"""onnxruntime as a back end, without torch, and the folder `onnx/` that `nerbert export` writes, read as hostile."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from nerbert.artifacts import sha256_once
from nerbert.errors import InputError, NerbertError, at, need, refused
from nerbert.model.folder import EXPORTED, ModelFolder, weight_files
from nerbert.model.int8 import constants_of, declared, read_int8
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.rng import Array
from nerbert.schema import read_content, read_json

# onnxruntime would write files into the user's cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
FOLDER, FORMAT = "onnx", 1
(
    CARD,
    TOKENIZER,
    _FP32,
    _INT8,
    CONCEPTS_GRAPH,
    CONCEPTS_TOKENIZER,
    LABELS_GRAPH,
    LABELS_TOKENIZER,
    SCORES_GRAPH,
) = (Path(name).name for name in EXPORTED)
GRAPHS = {"fp32": _FP32, "int8": _INT8}
LOGITS, STATES = "logits", "last_hidden_state"
"""Outputs of graphs: of a tagger, and of an encoder."""
MAX_TOKENS = 256
"""Padded pieces of a batch: beyond, activations leave the cache (docs/results/2026-11-21-tagger.md)."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTSIDE = b"location"
"""The key of a weight's file, without which onnxruntime reads none; no graph of ours holds these bytes otherwise."""
_SLOW = ("SkipLayerNormFusion",)
"""Left out: its kernel takes four times as long as the addition and the norm that it joins (onnxruntime 1.31)."""
_LARGEST_CARD = 4 << 20
_LARGEST_TOKENIZER = 256 << 20
_REMEDY = "export the tagger again"
# Kept until other weights are read: both graphs of a shared encoder are made of the same tensors.
_read_tensors = lru_cache(1)(lambda paths, _digests: read_int8(paths) or {})
_Size = Annotated[int, Field(ge=1, lt=1 << 31)]
_Piece = Annotated[int, Field(ge=0, lt=1 << 31)]
Specials = Annotated[list[_Piece], Field(max_length=16)]


@dataclass(frozen=True, kw_only=True)
class TokenizerFacts:
    """Special pieces `before` and `after`, the one for padding, pieces in a window (`room`), size of `vocabulary`."""

    before: Specials
    after: Specials
    pad_id: _Piece
    room: _Size
    vocabulary: _Size

    @property
    def body_config(self) -> Any:
        """Return what a tokenizer asks of the configuration of the encoder."""
        sizes = {"max_position_embeddings": self.room, "vocab_size": self.vocabulary}
        return SimpleNamespace(model_type="onnx", name_or_path="", **sizes)

    def pieces(self, path: Path, longest: int, on_too_long: str = "window", window: int = 0) -> SubwordTokenizer:
        """Return the tokenizer that cuts examples into windows of at most `longest` pieces."""
        tokenizer = LightTokenizer(path, self)
        config = self.body_config
        return SubwordTokenizer(tokenizer, config, longest, on_too_long=on_too_long, window=window)


@dataclass(frozen=True, kw_only=True)
class ConceptFacts(TokenizerFacts):
    """What compares words and labels: τ, b, how pieces of a label are pooled (at most `longest`), vectors' `width`."""

    width: _Size
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    bias: Annotated[float, Field(allow_inf_nan=False)]
    pooling: Literal["mean", "first"]
    longest: _Size
    boundaries: bool = False


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What a graph lacks: constants, looked up by rows or multiplied by, and the tensors of a file they are made of."""

    weights: Literal["model.safetensors", "concepts/model.safetensors"]
    tables: dict[str, str]
    matrices: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class OnnxCard(TokenizerFacts):
    """What `nerbert-onnx.json` holds that tagging needs.

    These are the head's labels, or for a head that is given labels its `concepts`, what an `own` head needs, and facts
    about the tokenizer; `made_from` has the SHA-256 of each file of weights, `versions` are those of the libraries that
    exported it, `agreement` is what each back end scored then, if measured. `constants` has what graphs lack, by file.
    """

    format: Literal[1]
    tags: list[str]
    made_from: dict[Literal["weights"], dict[str, str]]
    concepts: ConceptFacts | None = None
    own: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    agreement: dict[str, dict[str, Any]] = field(default_factory=dict)
    constants: dict[str, Constants] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exported:
    """A folder `onnx/`: its graphs by precision, and its card."""

    folder: Path
    graphs: Mapping[str, Path]
    card: OnnxCard

    @classmethod
    def of(cls, folder: Path, card: OnnxCard) -> "Exported":
        """Return the folder of a card, with the graphs that are there."""
        return cls(folder, {name: folder / file for name, file in GRAPHS.items() if (folder / file).is_file()}, card)

    def pieces(self, longest: int, on_too_long: str, window: int = 0) -> SubwordTokenizer:
        """Return the tokenizer that cuts examples into windows of at most `longest` pieces."""
        return self.card.pieces(self.tokenizer(), longest, on_too_long, window)

    def tokenizer(self, file: str = TOKENIZER) -> Path:
        """Return the file of a tokenizer: the folder's own, or in a packed model the only one, beside the weights."""
        own = self.folder / file
        return own if own.is_file() else self.folder.parent / TOKENIZER

    def files_of(self, file: str) -> list[Path]:
        """Return what decides a graph's numbers: its file, and those of the weights that it lacks, if any."""
        needed = self.card.constants.get(file)
        weights = weight_files((self.folder.parent / needed.weights).parent) if needed else []
        return [self.folder / file, *weights]

    def open(self, path: Path, columns: int, *, threads: int = 0, output: str = LOGITS) -> "OnnxScorer":
        """Return the scorer of a graph, joined with the constants that it lacks, if any."""
        constants = dict[str, Array]()
        if needed := self.card.constants.get(path.name):
            weights = tuple(self.files_of(path.name)[1:])
            digests = tuple(map(sha256_once, weights))
            with at(self.folder.parent):
                constants = constants_of(_read_tensors(weights, digests), needed.tables, needed.matrices)
        return OnnxScorer(path, columns, threads=threads, output=output, constants=constants)

    def check_weights(self, source: str) -> None:
        """Raise InputError if a folder's weights are no longer those that were exported."""
        for name, digest in weights_of(source).items():
            if self.card.made_from.get("weights", {}).get(name) != digest:
                remedy = "export the tagger again (`nerbert export --overwrite`), or delete the folder"
                raise InputError(f"{self.folder}: made from other weights than {name}; {remedy}")


def weights_of(source: str) -> dict[str, str]:
    """Return the SHA-256 of each file of weights in a model's folder."""
    return {path.relative_to(source).as_posix(): sha256_once(path) for path in ModelFolder(source).files("weights")}


def read_exported(source: str) -> Exported | None:
    """Return what `nerbert export` left in a tagger's folder, or None; raise InputError for a broken one."""
    folder = Path(source) / FOLDER
    if not (folder / CARD).is_file():
        return None
    return Exported.of(folder, read_json(folder / CARD, OnnxCard, limit=_LARGEST_CARD, remedy=_REMEDY))


@lru_cache(1)
def _load_tokenizer(content: bytes) -> Any:
    """Return the tokenizer of a `tokenizer.json`; that of labels is often that of texts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


class LightTokenizer:
    """Pieces and offsets of plain text by a `tokenizer.json`: what `SubwordTokenizer` asks of `transformers`' one.

    What looks like a special piece in a text is plain text. Nothing changes after it is made, so threads may share it.
    """

    def __init__(self, path: Path, card: TokenizerFacts) -> None:
        need("onnx", "tokenizers")
        with refused(f"{path}: can't be loaded as a tokenizer"):
            self.backend_tokenizer = _load_tokenizer(read_content(path, _LARGEST_TOKENIZER))
        self._path, self._before, self._after = path, card.before, card.after
        self.pad_token_id, self.model_max_length = card.pad_id, card.room

    def __call__(self, texts: str | Sequence[str], *, is_split_into_words: bool = False, **_: Any) -> "LightPieces":
        """Return one text's pieces with the special ones marked; of several texts, pieces and offsets without.

        With `is_split_into_words` the texts are the words of one, and what is returned says whose each piece is.
        """
        if isinstance(texts, str):
            # A single text is only asked for by `special_pieces`, which looks where the special pieces lie.
            ids = self.backend_tokenizer.encode(texts, add_special_tokens=False).ids
            mask = [1] * len(self._before) + [0] * len(ids) + [1] * len(self._after)
            return LightPieces({"input_ids": [*self._before, *ids, *self._after], "special_tokens_mask": mask})
        with refused(f"{self._path}: can't cut a text"):
            if is_split_into_words:
                encoding = self.backend_tokenizer.encode(list(texts), is_pretokenized=True, add_special_tokens=False)
                return LightPieces({"input_ids": encoding.ids}, encoding.word_ids)
            encodings = self.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ids, offsets = ([getattr(encoding, name) for encoding in encodings] for name in ("ids", "offsets"))
        return LightPieces({"input_ids": ids, "offset_mapping": offsets})


class LightPieces(dict[str, list[Any]]):
    """What a tokenizer returns, with each piece's word where it was given words."""

    def __init__(self, columns: Mapping[str, list[Any]], words: Sequence[int | None] = ()) -> None:
        super().__init__(columns)
        self._words = words

    def word_ids(self) -> Sequence[int | None]:
        """Return the number of each piece's word."""
        return self._words


class Graph:
    """An exported graph on the CPU: its `inputs` and `outputs`, with their shapes by name."""

    def __init__(self, path: Path, threads: int = 0, constants: Mapping[str, Array] = {}) -> None:
        need("onnx", "onnxruntime")
        import onnxruntime

        if not path.is_file():
            raise InputError(f"{path}: no such file; export the tagger again")
        options = onnxruntime.SessionOptions()
        # What goes wrong is raised as an error; the library would print it as well.
        options.log_severity_level = 4
        # Spinning threads take a whole core each while they wait for the next batch.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads:
            options.intra_op_num_threads = threads
        with refused(f"{path}: can't be loaded by onnxruntime"):
            with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as graph:
                # Read as hostile: a graph could otherwise name any file of this machine as weights.
                if graph.find(_OUTSIDE) >= 0:
                    raise InputError(f"{path}: names files outside itself, which are not read; export the tagger again")
            # Two serialised messages in a row are one with the fields of both, so a graph
            # needn't be parsed to get constants.
            whole = path.read_bytes() + declared(constants) if constants else str(path)
            # They are not copied, so this list keeps them alive as long as the session.
            self._constants = list(map(onnxruntime.OrtValue.ortvalue_from_numpy, constants.values()))
            options.add_external_initializers([*constants], self._constants)
            self._session = onnxruntime.InferenceSession(
                whole, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(_SLOW)
            )
        self.path = path
        self.inputs = {tensor.name: tensor.shape for tensor in self._session.get_inputs()}
        self.outputs = {tensor.name: tensor.shape for tensor in self._session.get_outputs()}

    def check(self, known: bool) -> None:
        """Raise InputError for a graph whose inputs and outputs aren't those that are `known`."""
        if not known:
            names = f"takes {', '.join(self.inputs)} and gives {', '.join(self.outputs)}"
            raise InputError(f"{self.path}: {names}: not a graph that nerbert made")

    def __call__(self, feed: Mapping[str, Array], rows: int, **others: int) -> dict[str, Array]:
        """Return its outputs by name, so many rows of fp32 each (`others`: by name); `feed` may hold more than inputs.

        Raise InputError for other outputs.
        """
        arrays = self.run(feed)
        for name, array in zip(self.outputs, arrays, strict=True):
            count = others.get(name, rows)
            if array.dtype != np.float32 or array.shape[:1] != (count,):
                shape = f"{array.dtype} {name} of the shape {array.shape} for {count} rows"
                raise InputError(f"{self.path}: gives {shape}: not a graph that nerbert made")
        return dict(zip(self.outputs, arrays, strict=True))

    def run(self, feed: Mapping[str, Array]) -> list[Array]:
        """Return its outputs in order, whatever they are; `feed` may hold more than inputs."""
        with refused(f"{self.path}: can't be run by onnxruntime", NerbertError):
            given = {name: feed[name] for name in self.inputs}
            return list(map(np.asarray, self._session.run(list(self.outputs), given)))


class OnnxScorer:
    """Logits, or another `output` of so many columns, of an exported graph on the CPU."""

    def __init__(
        self, path: Path, classes: int, *, threads: int = 0, output: str = LOGITS, constants: Mapping[str, Array] = {}
    ) -> None:
        self._output = output
        self._graph = Graph(path, threads, constants)
        self._classes = classes
        outputs = self._graph.outputs
        self._graph.check(list(outputs) == [output] and {"input_ids"} <= self._graph.inputs.keys() <= set(_INPUTS))
        if outputs[output][-1:] != [classes]:
            sizes = f"{outputs[output]}, its {'labels' if output == LOGITS else 'columns'} are {classes}"
            raise InputError(f"{path}: its {output} have the shape {sizes}: they don't belong together")

    def __call__(self, batch: Padded, /) -> Array:
        """Return (terms, classes) fp32."""
        ids = batch.ids.astype(np.int64, copy=False)
        mask = batch.mask.astype(np.int64)
        # Some graphs take no token types; `run` feeds only what a graph asks for.
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(ids.shape, np.int64)}
        logits = self._graph(feed, len(ids))[self._output]
        if logits.shape != (*batch.ids.shape, self._classes):
            raise InputError(
                f"{self._graph.path}: gives logits of the shape {logits.shape} for windows of "
                f"{batch.ids.shape}: not a graph that nerbert made"
            )
        return np.asarray(logits[batch.rows, batch.columns])
