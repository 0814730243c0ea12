"""Folders of CDLM taggers: sizes and tags in `cdlm.json`, weights, and a vocabulary as a tokenizer."""

from pathlib import Path
from typing import Any, ClassVar

from nerbert.errors import InputError
from nerbert.model.folder import WEIGHTS, ModelFolder, ModelKind

MARKER = "cdlm.json"


class CdlmKind(ModelKind):
    """A BiLSTM of CDLM with its tags."""

    marker: ClassVar[str] = MARKER
    config: ClassVar[str] = MARKER
    head: ClassVar[str] = "cdlm"
    noun: ClassVar[str] = "a CDLM tagger"

    @classmethod
    def check(cls, folder: ModelFolder) -> None:
        """Raise InputError without weights."""
        if not (folder.path / WEIGHTS).is_file():
            raise InputError(f"{folder}: {cls.noun} without {WEIGHTS}; copy the whole folder")

    @classmethod
    def encoder(cls, path: Path) -> dict[str, Any]:
        """Return its sizes."""
        return {**super().encoder(path), "model_type": "cdlm"}

    @classmethod
    def check_start(cls, folder: ModelFolder) -> None:
        """Raise InputError: its words are those of its own training."""
        raise InputError(f"{folder}: {cls.noun}, which no training starts from; give the encoder that it began with")
