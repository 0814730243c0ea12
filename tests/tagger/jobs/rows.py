"""Rows of JSON lines, written for a job and read from its output."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_rows(path: str | Path, given: Iterable[object]) -> None:
    """Write objects as JSON lines."""
    Path(path).write_text("".join(f"{json.dumps(row)}\n" for row in given))


def rows(path: str | Path) -> list[Any]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def tagged(path: str | Path) -> list[tuple[str, list[str]]]:
    """Return each row's text with those of its entities."""
    return [(row["text"], [span["text"] for span in row["spans"]]) for row in rows(path)]


def texts(path: str | Path) -> list[str]:
    return [row["text"] for row in rows(path)]
