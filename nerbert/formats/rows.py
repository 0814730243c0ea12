"""A row of a user's file: a text, or its words, and all other fields.

A file to be tagged contains more than texts (names, dates, scores), which is written unchanged. A list of strings is a
sentence already split into words, and its text is these words joined by spaces, as in CoNLL. So one field can contain a
text in either form.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.records import Example, Span

TEXT, TOKENS, SPANS = "text", "tokens", "spans"
"""Names of fields: the text; its words as strings; entities."""


class TextRow(NamedTuple):
    """A text and its line or row number; `example` has its words if given, `raw` the original bytes."""

    number: int
    text: str
    example: Example | None
    fields: Mapping[str, Any]
    raw: bytes


def row_of(number: int, fields: Mapping[str, Any], field: str, raw: bytes = b"") -> TextRow:
    """Return the row of a JSON object with its text (or words) in `field`; `tokens` replaces a missing `text`."""
    if field not in fields and field == TEXT and TOKENS in fields:
        field = TOKENS
    if field not in fields:
        there = ", ".join(fields) or "none"
        raise InputError(f"no field {field!r} (there are: {there:.200}); name the text's with --field")
    value = fields[field]
    if isinstance(value, str):
        return TextRow(number, value, None, fields, raw)
    return row_of_words(number, checked_words(value, field), fields, raw)


def row_of_words(number: int, words: Sequence[str], fields: Mapping[str, Any], raw: bytes = b"") -> TextRow:
    """Return the row of a sentence's words; the fields get its text if they have none."""
    example = example_of(words, ())
    return TextRow(number, example.text, example, {TEXT: example.text} | dict(fields), raw)


def checked_words(value: object, field: str) -> list[str]:
    """Return `value` if it is a list of words; raise InputError that names the invalid one."""
    if not isinstance(value, list):
        raise InputError(f"field {field!r} holds {value!r:.60}: must be a text, or a list of words")
    for place, word in enumerate(value):
        if not isinstance(word, str) or not word:
            raise InputError(f"field {field!r}: word {place} (from 0) is {word!r:.60}: must be a text that isn't empty")
    return value


def span_json(span: Span) -> dict[str, str | int | float]:
    """Return a span as JSON: text, type, character start and end, confidence."""
    return {
        "text": span.text, "type": span.type, "start": span.start, "end": span.end,
        "confidence": round(span.confidence, 4),
    }  # fmt: skip
