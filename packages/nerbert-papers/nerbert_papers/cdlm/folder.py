"""Folders of CDLM's taggers; imported for each model, so it needs little."""

from pathlib import Path
from typing import Any

from nerbert.errors import InputError
from nerbert.model.folder import MARKERS, WEIGHTS, ModelFolder, ModelKind

MARKER = MARKERS["cdlm"]


class CdlmKind(ModelKind):
    """A BiLSTM of CDLM with its tags: sizes in `cdlm.json`, weights, and a vocabulary as a tokenizer."""

    marker = MARKER
    config = MARKER
    head = "cdlm"
    noun = "a CDLM tagger"

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
