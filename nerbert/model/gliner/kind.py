"""GLiNER's folders as a kind of model folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nerbert.errors import InputError
from nerbert.model.folder import EXPORTED, WEIGHTS, ModelFolder, ModelKind
from nerbert.model.gliner.config import FOLDERS, GLINER, PICKLED, SPLITTERS, GlinerConfig, read_config
from nerbert.model.gliner.prompt import PromptTokenizer

if TYPE_CHECKING:
    from nerbert.model.gliner.folder import GlinerFolder


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
        return read_config(path)

    @classmethod
    def card(cls, path: Path) -> dict[str, Any]:
        """Return its head, its word splitter and its decoding."""
        splitter = SPLITTERS[read_config(path).words_splitter_type]
        return {"head": cls.head, "word_splitter": splitter, "decoding": "flat"}

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
