"""Data sets that the tests make themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]
TRAIN = (
    "The\tO\nMargarethe\tB-ship\nsailed\tO\n\n"
    "Larsen\tB-person\n&\tI-person\nHolm\tI-person\n\n"
    "One\tO\nof\tO\nthe\tO\nvery\tO\nlong\tO\nsentences\tO\nabout\tO\nInga\tB-ship\n\n"
)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a data folder below a root folder; a split that isn't given isn't there."""

    def made(name: str = "ships", **splits: str) -> Path:
        folder = tmp_path / "root" / name
        folder.mkdir(parents=True, exist_ok=True)
        for split, text in (splits or {"train": TRAIN, "test": TRAIN}).items():
            (folder / f"{split}.conll").write_text(text, encoding="utf-8")
        return folder

    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder in which `make` makes data sets."""
    folder = tmp_path / "root"
    folder.mkdir(exist_ok=True)
    return folder
