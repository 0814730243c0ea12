"""JSON lines: one object per line, with a text (or a list of words), and any other fields.

Values are written as they were read, as far as Python's JSON keeps them: numbers are doubles or integers of any size.
"""

import json
from collections.abc import Mapping
from typing import Any

from nerbert.artifacts import json_line
from nerbert.errors import InputError


def json_object(text: str) -> dict[str, Any]:
    """Parse the object on a line; raise InputError for anything else."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} at character {error.pos} of the line") from None
    except (ValueError, RecursionError):
        raise InputError("not JSON that can be read: too deep, or too long a number") from None
    if not isinstance(value, dict):
        kind = "the file is one JSON array, not JSON lines" if text.lstrip().startswith("[") else f"{text!r:.60}"
        raise InputError(f"not a JSON object: {kind}; write one object a line")
    return value


def object_line(fields: Mapping[str, Any]) -> bytes:
    """Return an object as a line of UTF-8."""
    try:
        return f"{json_line(fields)}\n".encode()
    except RecursionError:
        raise InputError("not JSON that can be written: too deep") from None
