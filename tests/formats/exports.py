"""What the tests of formats share: reading with repairs, and of a stream; what is said of spans."""

import json
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from nerbert.formats.json_files import JsonFormat
from nerbert.formats.lines import Stream
from nerbert.records import Document, Repairs


def read(format_: JsonFormat, path: Path, *values: Any) -> tuple[list[Document], Repairs]:
    """What the format reads of a file of these values (an array), or of the file that is there."""
    if values:
        path.write_text(json.dumps(values, indent=1))
    assert format_.recognise(path, path.read_bytes()[: 1 << 20])
    repairs = Repairs()
    return [replace(one, line=0) for one in format_.read(path, repairs)], +repairs


def streamed(format_: Any, data: bytes, field: str = "text", errors: str = "strict") -> list[Document]:
    """The texts that the format reads of a stream named `x`."""
    return list(format_.read(Stream("x", lambda: BytesIO(data), field, errors), Repairs()))


def marked(document: Document) -> list[tuple[str, str]]:
    """The text that each span has in characters, and its type."""
    return [(document.text[span.start : span.end], span.type) for span in document.spans]


def plain(found: Iterable[Document]) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """The texts, with places and types of their spans."""
    return [(each.text, [(span.start, span.end, span.type) for span in each.spans]) for each in found]


def spans(found: Iterable[Document]) -> list[tuple[int, int, str, str]]:
    """The places, types and surface texts of all spans."""
    return [(span.start, span.end, span.type, span.text) for one in found for span in one.spans]
