"""GLiNER2's folders as a kind of model folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.errors import InputError
from nerbert.model.folder import GLINER2, ModelFolder
from nerbert.model.gliner.config import GlinerKind
from nerbert.model.gliner2.config import ENCODER, EXTRACTOR, WORDS, Gliner2Config, read_extractor
from nerbert.model.gliner2.prompt import Gliner2Pieces
from nerbert.schema import read_json

if TYPE_CHECKING:
    from nerbert.model.gliner.folder import GlinerFolder


@dataclass(frozen=True, slots=True)
class _Own:
    """What `config.json` says of whose it is."""

    model_type: str = ""


class Gliner2Kind(GlinerKind):
    """A folder of the package `gliner2`; it tags, and teaches a tagger, but isn't trained on."""

    marker = ENCODER
    config = EXTRACTOR
    noun = "a GLiNER2 model"
    objective = ""
    folders = (Path(ENCODER).parent.name,)
    counted = (ENCODER,)

    pieces = Gliner2Pieces

    @classmethod
    def holds(cls, path: Path) -> bool:
        """Return whether its encoder's configuration is there, and its own isn't another model's."""
        if not super().holds(path):
            return False
        return not (path / cls.config).is_file() or read_json(path / cls.config, _Own).model_type == GLINER2

    @classmethod
    def read(cls, path: Path) -> Gliner2Config:
        """Return its configuration; raise InputError for an architecture that can't be computed."""
        return read_extractor(path)

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
    def card(cls, path: Path) -> dict[str, Any]:
        """Return its head, its word splitter and its decoding."""
        return {"head": cls.head, "word_splitter": WORDS, "decoding": "flat"}

    @classmethod
    def load(cls, path: Path) -> "GlinerFolder":
        """Return its model, and what cuts its texts and labels."""
        from nerbert.model.gliner2.folder import read_gliner2

        return read_gliner2(path)
