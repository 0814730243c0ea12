"""Where a tagger was loaded from, so that another process can load it again."""

from dataclasses import dataclass
from typing import Any

from nerbert.model.folder import ModelFolder


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tagger was loaded from, and how; `weights` are each file's name, size and time of change."""

    folder: str
    options: tuple[tuple[str, Any], ...]
    weights: tuple[tuple[str, int, int], ...]


def weights_of(folder: ModelFolder) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of change of each file of weights; reading them would take seconds."""
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.files("loaded"))
