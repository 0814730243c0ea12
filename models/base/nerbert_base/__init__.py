"""The model `base` for nerbert: its folder, found by its name."""

from pathlib import Path


def folder() -> Path:
    """Return the model's folder."""
    return Path(__file__).parent / "model"
