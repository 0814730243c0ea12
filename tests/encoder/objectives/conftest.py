"""Files of open types."""

import json
from pathlib import Path

import pytest

from tests.encoder.open_rows import ROWS


@pytest.fixture
def open_file(tmp_path: Path) -> Path:
    """The rows as a file."""
    path = tmp_path / "open.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return path
