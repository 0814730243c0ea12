"""Long lists of expectations, which are data: a file of JSON rows beside the test that reads them."""

import json
from pathlib import Path
from typing import Any


def rows(test: str, name: str) -> list[tuple[Any, ...]]:
    """Return the rows of `NAME.jsonl` beside a test, which gives its `__file__`."""
    text = Path(test).with_name(f"{name}.jsonl").read_text(encoding="utf-8")
    return [tuple(json.loads(line)) for line in text.removesuffix("\n").split("\n")]
