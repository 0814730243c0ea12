"""JSON lines: one object per line, with a text (or a list of words), and any other fields.

Values are written as they were read, as far as Python's JSON keeps them: numbers are doubles or integers of any size.
As annotated sentences: `text`, `spans` with `start`, `end` and `type`, as `nerbert tag --json` writes them, and perhaps
`tokens`. Without those, words are those of the corpus's splitter, cut where an entity begins or ends.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import json_line, publish
from nerbert.errors import InputError, at
from nerbert.formats.conll import row_of_words
from nerbert.formats.documents import find_words
from nerbert.formats.rows import (
    SPANS,
    TEXT,
    TOKENS,
    Block,
    Lines,
    Tagged,
    TextRow,
    checked_words,
    decoded,
    read_lines,
    span_json,
)
from nerbert.records import Document, Repairs, Span


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


def json_rows(lines: Lines, field: str) -> Iterator[TextRow | None]:
    """Yield a row an object, its text in `field`; empty lines are none; None where `lines` has it."""
    for line in lines:
        if line is None:
            yield None
        elif line.text.strip():
            with line.place():
                row = row_of(line.number, json_object(line.text), field, line.text)
            yield row


def row_of(number: int, fields: Mapping[str, Any], field: str, source: str = "") -> TextRow:
    """Return the row of a JSON object with its text (or words) in `field`; `tokens` replaces a missing `text`."""
    if field not in fields and field == TEXT and TOKENS in fields:
        field = TOKENS
    if field not in fields:
        there = ", ".join(fields) or "none"
        raise InputError(f"no field {field!r} (there are: {there:.200}); name the text's with --field")
    value = fields[field]
    if isinstance(value, str):
        return TextRow(number, value, None, fields, source)
    return row_of_words(number, checked_words(value, field), fields, source)


def json_lines(block: Block, found: Tagged) -> Iterator[bytes]:
    """Yield tagged rows as objects: all that the input has of a row, and `spans`."""
    for row, fields, spans in zip(block.rows, _fields(block), found, strict=True):
        with at(block.name, row.number):
            line = object_line({**fields, SPANS: [span_json(each) for each in spans]})
        yield line


def _fields(block: Block) -> Sequence[Mapping[str, Any]]:
    """Return all that the input has of each row; of Parquet's rows that is in the columns of the batch."""
    if block.batch is None:
        return [row.fields for row in block.rows]
    from nerbert.formats.parquet import plain_rows

    with at(block.name):
        columns = plain_rows(block.batch)
    return [  # a text as it was decoded; of words the text is added
        {TEXT: row.text, **fields} if row.example else {**fields, **row.fields}
        for row, fields in zip(block.rows, columns, strict=True)
    ]


class JsonLines:
    """The format `jsonl`: a sentence a line, its entities in `spans`."""

    suffixes = (".jsonl", ".ndjson")

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the first object has a text or tokens, and spans with types."""
        try:
            fields = json_object(decoded(head.lstrip().partition(b"\n")[0], 1))
        except InputError:
            return False
        spans = fields.get(SPANS)
        typed = isinstance(spans, list) and all(isinstance(each, dict) and "type" in each for each in spans)
        return typed and (TEXT in fields or TOKENS in fields)

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the sentences of a file; raise InputError that names file and line."""
        with path.open("rb") as stream:
            for line in read_lines(stream, path):
                if line and line.text.strip():
                    with line.place():
                        example = replace(_document(json_object(line.text)), line=line.number)
                    yield example

    def write(self, path: Path, examples: Iterable[Document]) -> None:
        """Write sentences with their words, whole or not at all."""
        with publish(path) as draft, draft.open("wb") as stream:
            for each in examples:
                spans = [span_json(span) for span in each.spans]
                tokens = {} if each.words is None else {TOKENS: [each.text[a:b] for a, b in each.words]}
                stream.write(object_line({TEXT: each.text, **tokens, SPANS: spans}))


def _document(fields: Mapping[str, Any]) -> Document:
    """Return an object as a sentence."""
    if not isinstance(fields.get(SPANS), list):
        raise InputError(f"fields {', '.join(fields)}: a list {SPANS!r} must be there, empty for no entity")
    row = row_of(0, fields, TEXT)
    words = tuple(find_words(row.text, checked_words(fields[TOKENS], TOKENS))) if TOKENS in fields else None
    return Document(row.text, tuple(_span(each, row.text) for each in fields[SPANS]), words)


def _span(fields: Any, text: str) -> Span:
    """Return start, end and type; raise InputError for one whose text is another than the text has there."""
    start, end, type_ = map(fields.get, ("start", "end", "type")) if isinstance(fields, dict) else (None, None, "")
    if type(start) is not int or type(end) is not int or not isinstance(type_, str):
        raise InputError(f"span {fields!r:.80}: must have start and end, in characters of the text, and type")
    return Span(start, end, type_, fields.get(TEXT, ""), fields.get("confidence", 1.0))
