"""JSON lines: one object per line, with a text (or a list of words), and any other fields.

Values are written as they were read, as far as Python's JSON keeps them: numbers are doubles or integers of any size.
As annotated sentences: `text`, `spans` with `start`, `end` and `type`, as `nerbert tag --json` writes them, and perhaps
`tokens`. Without those, words are those of the corpus's splitter, cut where an entity begins or ends.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from nerbert.artifacts import json_line, publish
from nerbert.errors import InputError, at
from nerbert.formats.lines import decoded
from nerbert.formats.rows import SPANS, TEXT, TOKENS, checked_words, span_json
from nerbert.labels import example_tags
from nerbert.records import Example, Span
from nerbert.words import split_words


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


class JsonLines:
    """The format `jsonl`: a sentence a line, its entities in `spans`."""

    suffixes = (".jsonl", ".ndjson")

    def recognise(self, head: bytes) -> bool:
        """Return whether the first object has spans, and a text or tokens."""
        try:
            fields = json_object(decoded(head.lstrip().partition(b"\n")[0], 1))
        except InputError:
            return False
        return SPANS in fields and (TEXT in fields or TOKENS in fields)

    def read(self, path: Path) -> Iterator[Example]:
        """Yield the sentences of a file; raise InputError that names file and line."""
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                with at(path, number):
                    text = decoded(raw, number)
                    example = _example(json_object(text)) if text.strip() else None
                if example:
                    yield example

    def write(self, path: Path, examples: Iterable[Example]) -> None:
        """Write sentences with their words, whole or not at all."""
        with publish(path) as draft, draft.open("wb") as stream:
            for each in examples:
                spans = [span_json(span) for span in each.spans]
                stream.write(object_line({TEXT: each.text, TOKENS: each.tokens, SPANS: spans}))


def _example(fields: Mapping[str, Any]) -> Example:
    """Return an object as a sentence; raise InputError for spans that can't be entities of its words."""
    if not isinstance(fields.get(SPANS), list) or not (TEXT in fields or TOKENS in fields):
        raise InputError(f"fields {', '.join(fields)}: there must be {TEXT!r} (or {TOKENS!r}), and a list {SPANS!r}")
    tokens = checked_words(fields[TOKENS], TOKENS) if TOKENS in fields else None
    text = fields.get(TEXT, " ".join(tokens or ()))
    if not isinstance(text, str):
        raise InputError(f"field {TEXT!r} holds {text!r:.60}: must be a text")
    spans = sorted((_span(each, text) for each in fields[SPANS]), key=lambda span: span.start)
    example = Example(text, tuple(_cut(text, spans) if tokens is None else _located(text, tokens)), tuple(spans))
    example_tags(example)  # raises for entities that overlap or cut a word
    return example


def _span(fields: Any, text: str) -> Span:
    start, end, type_ = map(fields.get, ("start", "end", "type")) if isinstance(fields, dict) else (0, 0, "")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise InputError(f"span {fields!r:.80}: start and end must be places of characters in the text")
    if not isinstance(type_, str) or not type_:
        raise InputError(f"span {fields!r:.80}: type must be a text")
    if fields.get(TEXT, text[start:end]) != text[start:end]:
        raise InputError(f"span {fields!r:.80}: the text has {text[start:end]!r} there; offsets count characters")
    return Span(start, end, type_, text[start:end])


def _cut(text: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Yield the words of a text; none reaches over the beginning or the end of an entity."""
    for start, end in pairwise(sorted({0, len(text), *(place for span in spans for place in (span.start, span.end))})):
        yield from ((start + first, start + last) for first, last in split_words(text[start:end]))


def _located(text: str, tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where each token is in the text; raise InputError for one that isn't there."""
    place = 0
    for number, token in enumerate(tokens):
        start = text.find(token, place)
        if start < 0:
            raise InputError(
                f"field {TOKENS!r}: word {number} (from 0), {token!r:.60}, isn't in the text behind the last"
            )
        place = start + len(token)
        yield start, place
