"""Files of open types."""

from pathlib import Path

import pytest

from tests.encoder.open_rows import ROWS
from tests.encoder.preparing import written


@pytest.fixture
def open_file(tmp_path: Path) -> Path:
    """The rows as a file."""
    return written(tmp_path / "open.jsonl", ROWS)
