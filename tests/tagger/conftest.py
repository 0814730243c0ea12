"""A tagger that is loaded once."""

from pathlib import Path

import pytest

from nerbert.tagger.tagger import Tagger


@pytest.fixture(scope="session")
def tagger(tiny_tagger: Path) -> Tagger:
    return Tagger.load(tiny_tagger, device="cpu")
