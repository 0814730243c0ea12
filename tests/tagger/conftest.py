"""A tagger that is loaded once, and a copy of its folder."""

import shutil
from pathlib import Path

import pytest

from nerbert.tagger.tagger import Tagger


@pytest.fixture(scope="session")
def tagger(tiny_tagger: Path) -> Tagger:
    return Tagger.load(tiny_tagger, device="cpu")


@pytest.fixture
def folder(tiny_tagger: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(tiny_tagger, tmp_path / "tagger"))
