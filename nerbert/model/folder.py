"""Model folders: what a folder or a hub name holds, its card, and the uses of its files.

Each kind is known by one file. Files are read as hostile. Cost: pickled weights are refused, except GLiNER's.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from nerbert.about import __version__
from nerbert.artifacts import sha256_of, write_json
from nerbert.errors import InputError, at, need
from nerbert.hub import check_hub_name, download, download_once
from nerbert.metrics.calibration import HIGHEST, LOWEST
from nerbert.registry import Registry
from nerbert.schema import LARGEST, read_checked, read_json
from nerbert.terminal import tell
from nerbert.words import SPLITTER, check_splitter

CARD = "nerbert.json"
CONCEPTS = "concepts/concepts.json"
"""The marker of a text encoder's folder that has a concept encoder, too."""
MARKERS = {"gliner2": "encoder_config/config.json", "gliner": "gliner_config.json", "cdlm": "cdlm.json"}
"""The markers of kinds in other modules, which are imported where one is there: 20 ms of a small tagger's start."""
SIGNS = "entities_of_signs"
"""The card's field that says whether its training had entities without a letter or digit; only then it finds such."""
PRETRAINED = ("encoder", "untrained")
"""Kinds of card whose head knows a corpus's categories, not a domain's types."""
EMBEDDED = {"embedded": "ner", "embedded-open": "open"}
"""Names of the models in the package, and their folders: an encoder pre-trained on types of links, and a zero-shot
tagger."""
TOY = "embedded-open"
"""What is taken where no model is named and `minilm` is missing."""
WEIGHTS = "model.safetensors"
_SHARD = r"^\w[\w.-]*\.safetensors$"
SILVER = "silver.jsonl"
"""The sentences that a tagger was distilled from."""
EXPORTED = tuple(
    f"onnx/{name}"
    for name in (
        "nerbert-onnx.json",
        "tokenizer.json",
        "model.onnx",
        "model_int8.onnx",
        "concepts.onnx",
        "concepts_tokenizer.json",
        "labels.onnx",
        "labels_tokenizer.json",
        "scores.onnx",
    )
)
"""What `nerbert export` writes: its card, tokenizer, graphs in fp32 and int8, those of a concept encoder, and those
that make and score a GLiNER model's labels."""

REPORT = "report.html"
"""A page of the tagger, if `nerbert report` wrote it into its folder."""

Use: TypeAlias = Literal["small", "model", "tagger", "digest", "fingerprint", "weights", "loaded", "stale"]
_SMALL = ("*.json", "*.txt", "*.model", "*.tiktoken")
_MODEL = (*_SMALL, "README.md", "*.safetensors")
FILES: Mapping[Use, tuple[str, ...]] = {
    "small": (*_SMALL, "README.md"),
    "model": _MODEL,
    "tagger": (*_MODEL, *EXPORTED, REPORT),
    "digest": (*_SMALL, "*.safetensors"),
    "fingerprint": ("config.json", CARD, "tokenizer*.json", "*.safetensors", "onnx/*"),
    "weights": ("*.safetensors", "concepts/*.safetensors"),
    "loaded": ("*.safetensors", "concepts/*.safetensors", "onnx/*.onnx"),
    "stale": ("*.safetensors", "concepts/*", "onnx/*"),
}
"""Which files count, for each use; a kind of folder adds its own.

These are what is fetched from the hub to read a card or a tokenizer (`small`), to train (`model`) and to tag or to copy
(`tagger`); what a model is for a benchmark (`digest`) and a tagger for its users (`fingerprint`); torch's `weights`;
all weights that may be `loaded`; and what of an older tagger doesn't fit beside a new one (`stale`).
"""
_FORMAT = 1
_LARGEST_INDEX = 16 << 20
GLINER2 = "extractor"
"""The `model_type` of GLiNER2's models."""


@dataclass(frozen=True, slots=True)
class TaggerFacts:
    """The content of a tagger's model card: its `nerbert.json`, and the one `before`, if any."""

    card: Mapping[str, Any]
    before: Mapping[str, Any] | None = None


TaggerHook: TypeAlias = Callable[[Path, TaggerFacts], bool]
"""Writes the model card into a tagger's unfinished folder; returns whether it did."""


class ModelKind:
    """A kind of model folder."""

    marker: ClassVar[str]
    """The file by which it is known."""
    config: ClassVar[str] = "config.json"
    """The file with its configuration."""
    head: ClassVar[str] = "linear"
    """Its head in `HEADS`, where its card names none."""
    noun: ClassVar[str] = "a model"
    objective: ClassVar[str] = ""
    """The only objective that trains it on; "": any that starts from an encoder."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders inside it that are copied with it."""
    counted: ClassVar[tuple[str, ...]] = ()
    """Its patterns for `digest` and `fingerprint`."""
    pickled: ClassVar[tuple[str, ...]] = ()
    """A file of pickled numbers that is read where there is no model.safetensors."""

    @classmethod
    def holds(cls, path: Path) -> bool:
        """Return whether a folder is of this kind: its marker is there."""
        return (path / cls.marker).is_file()

    @classmethod
    def check(cls, folder: "ModelFolder") -> None:
        """Raise InputError for a folder that is incomplete, or holds an unsupported model."""

    @classmethod
    def check_start(cls, folder: "ModelFolder") -> None:
        """Raise InputError if no training starts from it."""

    @classmethod
    def card(cls, path: Path) -> dict[str, Any]:
        """Return the defaults where there is no card."""
        return {"word_splitter": SPLITTER}

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return the configuration of its encoder of texts."""
        return read_json(path / cls.config, dict[str, Any])

    @classmethod
    def describe_scoring(cls, path: Path) -> str:
        """Return in words what it scores, and what labels at run time cost; "" where they are fixed."""
        return ""

    @classmethod
    def usual_objective(cls, path: Path) -> str:
        """Return the objective that fine-tunes it where the settings name none; "": that of any encoder."""
        return cls.objective

    @classmethod
    def convert(cls, source: Path, folder: Path) -> None:
        """Write pickled weights into another folder, as safetensors."""


class TransformersKind(ModelKind):
    """An encoder or a tagger of `transformers`."""

    marker = "config.json"
    noun = "a model of transformers"

    @classmethod
    def check(cls, folder: "ModelFolder") -> None:
        """Raise InputError without weights that can be read, and for a part of a GLiNER2 model."""
        path = folder.path
        if read_json(path / cls.config, dict[str, Any]).get("model_type") == GLINER2:
            raise InputError(f"{folder}: a GLiNER2 model without {MARKERS['gliner2']}; copy the whole folder")
        if not any(path.glob("*.safetensors")) and not (path / EXPORTED[0]).is_file():
            other = next((p.name for p in path.iterdir() if p.suffix in (".bin", ".pt", ".ckpt", ".h5")), "no weights")
            raise InputError(f"{folder}: holds {other}, not {WEIGHTS}; pickled weights are refused, convert them")


class ConceptKind(TransformersKind):
    """A text encoder with a concept encoder beside it."""

    marker = CONCEPTS
    head = "concepts"
    folders = ("concepts",)
    counted = ("concepts/*",)

    @classmethod
    def usual_objective(cls, path: Path) -> str:
        """Return the objective that trains both of its encoders on."""
        return "names" if _has_boundaries(path) else "concepts"

    @classmethod
    def describe_scoring(cls, path: Path) -> str:
        """Return whether it scores words or spans, and that each label is encoded once."""
        what = "spans" if _has_boundaries(path) else "single words"
        return f"{what}; each label is encoded once and kept in the cache folder, so thousands cost little"


def _has_boundaries(path: Path) -> bool:
    """Return whether a folder of two encoders has a layer of boundary tags."""
    return read_json(path / CONCEPTS, dict).get("boundaries") is True


MODEL_KINDS: Registry[type[ModelKind]] = Registry(
    "kind of model folder",
    "nerbert.model_kinds",
    {
        "transformers": "nerbert.model.folder:TransformersKind",
        "concepts": "nerbert.model.folder:ConceptKind",
        "gliner2": "nerbert.model.gliner.folder:Gliner2Kind",
        "gliner": "nerbert.model.gliner.folder:GlinerKind",
    },
    ModelKind,
)
"""Of several that fit, the last counts."""


MODELS: Registry[Callable[[], Path]] = Registry("model", "nerbert.models", {})
"""Models of other distributions: each entry returns its folder."""
SHIPPED = ("minilm", "many", "base")
"""Models of this project that are distributions of their own: nerbert-minilm and so on."""


def find_named(source: str) -> str:
    """Return `source`, or the folder of a model of a distribution, if it is one's name and no folder's here.

    Raise InputError for a model whose distribution isn't installed.
    """
    # A folder here wins over a name: a user's own "minilm/" is what was meant.
    if os.path.isdir(source):  # noqa: PTH112  (false, too, for what no path can be)
        return source
    if source in EMBEDDED:
        return str(Path(__file__).parent.parent / "sample" / "encoder" / EMBEDDED[source])
    # "owner/name" and paths can't be entry points, so none is imported for them.
    if source.isidentifier() and MODELS.contains(source):
        return str(MODELS.find(source)())
    # Else the name would be looked up on the hub.
    if source in SHIPPED:
        raise InputError(f"{source}: is a package of its own, which isn't installed: pip install nerbert-{source}")
    return source


def usual_model(language: str = "") -> str:
    """Return the model that is taken where none is named: `minilm` if it is installed, else a toy, and tell so.

    For another language than English it is `many`.
    """
    if language not in ("", "en"):
        return "many"
    if MODELS.contains("minilm"):
        return "minilm"
    tell(f"minilm isn't installed (pip install nerbert-minilm): {TOY}, a toy, is used")
    return TOY


@dataclass(frozen=True, slots=True)
class _ShardIndex:
    """The content of `model.safetensors.index.json`: each tensor's file, as Hugging Face's libraries write it."""

    weight_map: dict[str, Annotated[str, Field(pattern=_SHARD)]]


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a folder's weights: `model.safetensors`, or the shards of an index; none if it has none.

    Raise InputError for a shard that is missing.
    """
    whole = folder / WEIGHTS
    index = folder / f"{WEIGHTS}.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        return []
    names = {*read_json(index, _ShardIndex, limit=_LARGEST_INDEX).weight_map.values()}
    shards = [folder / name for name in sorted(names)]
    for shard in shards:
        if not shard.is_file():
            raise InputError(f"{shard}: is missing; copy the whole folder")
    return shards


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder on this machine, `name` as messages have it."""

    name: str

    @classmethod
    def open(cls, source: str | Path, files: Use = "small", **options: Any) -> "ModelFolder":
        """Return the folder of a path, a name of the package or a name on the hub.

        From the hub at least those `files` are fetched; `how` goes to `huggingface_hub.snapshot_download`. Raise
        InputError for a name that can't be one. The folder's content isn't checked.
        """
        name = find_named(str(source))
        # What is no folder (a file, say) is refused later, by `check`, with a better message.
        if os.path.exists(name):  # noqa: PTH110  (false, too, for what no path can be)
            return cls(name)
        check_hub_name(name, [*EMBEDDED, *SHIPPED])
        # Missing libraries are reported before hundreds of megabytes are fetched.
        if files != "tagger":
            return cls(str(download_once(name, FILES[files], **options)))
        need("train", *(() if find_spec("onnxruntime") else ("torch", "transformers")))
        folder = cls(str(download(name, FILES[files], **options)))
        if folder.kind.pickled and not (folder.path / WEIGHTS).is_file():
            folder = cls(str(download(name, [*FILES["model"], *folder.kind.pickled], **options)))
        return folder

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        """Return the folder's path."""
        return Path(self.name)

    @cached_property
    def kinds(self) -> list[type[ModelKind]]:
        """Return the kinds that it may be of, the latest to be registered first."""
        # Without its marker a kind's module isn't even imported; the marker of a missing package's kind is refused.
        known = dict.fromkeys([*MODEL_KINDS, *MARKERS])
        names = [name for name in reversed(known) if (self.path / MARKERS.get(name, "")).exists()]
        return [kind for kind in map(MODEL_KINDS.find, names) if kind.holds(self.path)]

    @property
    def kind(self) -> type[ModelKind]:
        """Return what kind of folder it is."""
        return self.kinds[0] if self.kinds else TransformersKind

    def check(self) -> "ModelFolder":
        """Return the folder; raise InputError if it is not a model's, two at once, or incomplete."""
        if self.path.is_file():
            raise InputError(f"{self}: is a file; give the model's folder")
        # A common slip: the tagger's "onnx/" was given in place of the tagger's folder.
        if not self.kinds and (self.path / Path(EXPORTED[0]).name).is_file():
            # In "." a relative parent would be "." again.
            parent = self.path.absolute().parent if self.path.parent == Path() else self.path.parent
            raise InputError(f"{self}: holds only an exported model; give the tagger's own folder, {parent}")
        if not self.kinds:
            raise InputError(f"{self}: holds no config.json, so it is not a model folder")
        kind, other = self.kind, TransformersKind
        # Two models in one folder. A config.json without a class, as GLiNER's, is no second model.
        if other in self.kinds and not issubclass(kind, other):
            config = read_json(self.path / other.config, dict[str, Any])
            names = config.get("architectures") if config.get("model_type") != GLINER2 else None
            if isinstance(names, list) and any("For" in str(name) for name in names):
                why = f"holds {kind.marker} and {other.marker}, so it is {kind.noun} and {other.noun} at once"
                remedy = f"delete {other.marker} if it is {kind.noun}, else {kind.marker}"
                raise InputError(f"{self}: {why}; give each a folder of its own, or {remedy}")
        kind.check(self)
        return self

    def check_trainable(self) -> "ModelFolder":
        """Return the folder; raise InputError for one that `check` refuses, or that only one objective trains on."""
        kind = self.check().kind
        kind.check_start(self)
        if kind.objective:
            raise InputError(
                f"{self}: {kind.noun}, which tags without training (`nerbert tag --labels`); only "
                f"objective = {kind.objective!r} trains it on"
            )
        return self

    def files(self, use: Use) -> list[Path]:
        """Return the files that count for a use, in order; hidden ones never do."""
        patterns = FILES[use]
        kind = self.kind
        if use in ("digest", "fingerprint"):
            patterns += kind.counted
        if use == "digest" or (use in ("fingerprint", "weights", "loaded") and not (self.path / WEIGHTS).is_file()):
            patterns += kind.pickled
        if use == "fingerprint":
            patterns += (kind.config,)
        if use == "tagger":
            patterns += tuple(f"{folder}/{pattern}" for folder in kind.folders for pattern in FILES["model"])
        paths = {path for pattern in patterns for path in self.path.glob(pattern)}
        return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))

    @property
    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits of the SHA-256 of what a tagger's answers depend on, wherever it lies."""
        lines = (f"{path.relative_to(self.path)} {sha256_of(path)}\n" for path in self.files("fingerprint"))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    @property
    def backend(self) -> str:
        """Return the back end of its own weights: torch, or onnx if there is only an exported graph."""
        return "torch" if self.files("weights") else "onnx"

    @cached_property
    def card(self) -> dict[str, Any]:
        """Return its `nerbert.json`, checked; a model without one gets the defaults."""
        path = self.path / CARD
        if not path.is_file():
            return {"format": _FORMAT, "kind": "foreign", **self.kind.card(self.path)}
        remedy = "the card is damaged, or of another version of nerbert"
        _, card = read_checked(path, _Card, limit=16 << 20, remedy=remedy)
        with at(path):
            check_splitter(card["word_splitter"])
        return card

    @property
    def head_name(self) -> str:
        """Return the name of its head: what its card says, or what its kind usually has."""
        return str(self.card.get("head") or self.kind.head)


def read_card(source: str | Path) -> dict[str, Any]:
    """Return the card of a folder or a hub name."""
    return ModelFolder.open(source).card


def write_card(folder: Path, kind: str, **facts: Any) -> None:
    """Write `nerbert.json`, last of all files: the folder's origin, and facts for users."""
    write_json(folder / CARD, {"format": _FORMAT, "kind": kind, "made_by": f"nerbert {__version__}", **facts})


def seed_folders(source: str | Path) -> list[Path]:
    """Return the taggers' folders below `source`, in the order of their seeds; none if it is a tagger itself."""
    path = Path(source)
    # A tagger itself may hold folders of any name.
    if not path.is_dir() or ModelFolder.open(path).kinds:
        return []
    # By length first, so that seed-10 comes after seed-9.
    return sorted(path.glob("seed-*"), key=lambda path: (len(path.name), path.name))


def to_copy(source: str) -> str:
    """Return how to get a model's folder that can be written to."""
    if (folder := find_named(source)) != source:
        return f"that one is part of the package: copy {folder} into a folder, and give that"
    return "a model on the hub must be copied into one first"


@dataclass(frozen=True, slots=True)
class _Calibration:
    """The part of a card's calibration that changes confidences."""

    temperature: Annotated[float, Field(ge=LOWEST, le=HIGHEST, allow_inf_nan=False)] = 1.0
    bias: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 0.0


_Bound: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class _Card:
    """What a card must hold to be read; it may hold more."""

    format: Literal[1]
    kind: str
    word_splitter: str
    head: str | None = None
    max_length: Annotated[int, Field(ge=8, lt=LARGEST)] = 8
    window_length: Annotated[int, Field(ge=8, lt=LARGEST)] = 8
    num_frozen_layers: Annotated[int, Field(ge=0, lt=LARGEST)] = 0
    language: str = "en"
    types: list[str] | None = None
    words_of_types: dict[str, str | list[str]] | None = None
    calibration: _Calibration | None = None
    entities_of_signs: bool = False
    threshold: _Bound | None = None
    thresholds: dict[str, _Bound] | None = None
