"""GLiNER's kind of folder, and how one is opened; unsupported architectures are refused before weights are read."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nerbert.errors import InputError, refused
from nerbert.model.folder import EXPORTED, WEIGHTS, ModelFolder, ModelKind
from nerbert.model.gliner.config import FOLDERS, GLINER, PICKLED, TOKEN_LEVEL, WORDS, GlinerConfig
from nerbert.model.gliner.prompt import PromptTokenizer
from nerbert.schema import read_json

if TYPE_CHECKING:
    from nerbert.model.gliner.layers import GlinerFolder  # loads torch

_REMEDY = "nerbert reads GLiNER models that score spans (marker, markerV0) or tokens by given labels"


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
        problem = (
            f"span_mode {config.span_mode!r:.40}" if config.span_mode not in ("marker", "markerV0", TOKEN_LEVEL)
            else "a streaming decoder" if "streaming" in (config.model_type or "")
            else "post-fusion" if config.two_encoders and config.post_fusion_schema else ""
        )  # fmt: skip
        if problem:
            raise InputError(f"{file}: a GLiNER model with {problem}; {_REMEDY}")
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
    def describe_scoring(cls, path: Path) -> str:
        """Return what it scores, and how it reads labels."""
        config = cls.read(path)
        together = f"labels are read with the text, {config.max_types} at a time"
        cost = "each label is encoded once, so thousands cost little" if config.two_encoders else together
        return f"{config.scored}; {cost}"

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner.weights import read_gliner

        return read_gliner(path, cls.read(path))

    @classmethod
    def convert(cls, source: Path, folder: Path) -> None:
        """Write pickled weights into another folder, as safetensors."""
        from safetensors.torch import save_file

        from nerbert.model.gliner.weights import read_weights

        save_file({name: data.contiguous().clone() for name, data in read_weights(source).items()}, folder / WEIGHTS)


def gliner_kind(folder: ModelFolder) -> type[GlinerKind]:
    """Return which kind of GLiNER's folders one is; raise InputError for another kind."""
    kind = folder.kind
    if not issubclass(kind, GlinerKind):
        raise InputError(f"{folder}: {kind.noun}, not a GLiNER model")
    return kind


def load_gliner(folder: Path) -> "GlinerFolder":
    """Return the model of a folder; raise InputError for what can't be loaded or computed."""
    source = ModelFolder.open(folder, "tagger").check()
    with refused(f"{source}: the model of {source.kind.config} can't be computed"):
        loaded = gliner_kind(source).load(source.path)
        loaded.try_encoders()
    return loaded
