"""Fixtures that many tests share."""

import os
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent.parent / "nerbert" / "sample"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout, or where NERBERT_SHARED says; skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("NERBERT_SHARED") or beside)
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}: set NERBERT_SHARED to run this test")
    return folder


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample that ships with the package."""
    return SAMPLE
