"""JSON lines: one object per line, with a text (or a list of words), entities in `spans`, and any other fields.

Values are written as they were read, as far as Python's JSON keeps them: numbers are doubles or integers of any size.
Reading is strict: one broken line ends the reading, with its number.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nerbert.artifacts import json_line, publish
from nerbert.errors import InputError, NerbertError, at
from nerbert.formats.lines import decoded, lines_at_hand
from nerbert.formats.rows import TEXT, example_fields, example_of_fields
from nerbert.records import Example


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


def read_jsonl(path: Path, field: str = TEXT) -> Iterator[Example]:
    """Yield the annotated sentences of a file of JSON lines; raise InputError that names file and line."""
    number = 0
    try:
        with path.open("rb") as stream:
            for lines in lines_at_hand(stream):
                for number, raw in enumerate(lines, number + 1):  # noqa: B020
                    if raw.strip():
                        yield example_of_fields(json_object(decoded(raw, number)), field)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    except NerbertError:
        with at(path, number):
            raise


def write_jsonl(path: Path, examples: Iterable[Example]) -> None:
    """Write annotated sentences as JSON lines, whole or not at all."""
    with publish(path) as partial, partial.open("wb") as stream:
        stream.writelines(object_line(example_fields(each)) for each in examples)
