"""A row of a user's file: a text, or its words, and all other fields.

Annotated sentences are `Example`s; a file to be tagged contains more (names, dates, scores), which is written
unchanged. A list of strings is a sentence already split into words, and its text is these words joined by spaces, as in
CoNLL. So one field can contain a text in either form.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.records import Example, Span
from nerbert.words import split_words

TEXT, TOKENS, WORDS, SPANS = "text", "tokens", "words", "spans"
"""Names of fields: the text; its words as strings; words as positions in the text; entities."""


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


def example_fields(example: Example) -> dict[str, Any]:
    """Return an annotated sentence as JSON: text, words as [start, end] in it, spans."""
    spans = [span_json(span) for span in example.spans]
    return {TEXT: example.text, WORDS: [list(word) for word in example.words], SPANS: spans}


def example_of_fields(fields: Mapping[str, Any], field: str = TEXT) -> Example:
    """Return the annotated sentence of a JSON object, with its words or else those of the corpus's splitter."""
    row = row_of(0, fields, field)
    words = row.example.words if row.example else _words(fields, row.text)
    found = fields.get(SPANS)
    if not isinstance(found, list):
        raise InputError(f"field {SPANS!r} holds {found!r:.60}: must be a list of entities")
    spans = sorted((_span(each, row.text) for each in found), key=lambda span: span.start)
    for one, other in pairwise(spans):
        if other.start < one.end:
            raise InputError(f"entities [{one.start}, {one.end}) and [{other.start}, {other.end}) overlap")
    return Example(row.text, words, tuple(spans))


def _words(fields: Mapping[str, Any], text: str) -> tuple[tuple[int, int], ...]:
    if WORDS not in fields:
        return split_words(text)
    last, words = 0, []
    for each in fields[WORDS] if isinstance(fields[WORDS], list) else [fields[WORDS]]:
        start, end = _places(each["start"], each["end"]) if _has(each, "start", "end") else _places(*_pair(each))
        if not last <= start < end <= len(text):
            raise InputError(f"field {WORDS!r}: [{start}, {end}) is no word of a text of {len(text)} characters")
        words.append((start, end))
        last = end
    return tuple(words)


def _span(value: Any, text: str) -> Span:
    type_ = value.get("type", value.get("label")) if isinstance(value, Mapping) else None
    if not isinstance(type_, str) or not type_ or not _has(value, "start", "end"):
        raise InputError(f"entity {value!r:.80}: must have start, end and type")
    start, end = _places(value["start"], value["end"])
    if not 0 <= start < end <= len(text):
        raise InputError(f"entity [{start}, {end}) of type {type_!r}: lies outside the text of {len(text)} characters")
    told = value.get("text", text[start:end])
    if told != text[start:end]:
        raise InputError(f"entity [{start}, {end}) is {text[start:end]!r:.60} in the text, not {told!r:.60}")
    sure = value.get("confidence", 1.0)
    if isinstance(sure, bool) or not isinstance(sure, int | float):
        raise InputError(f"entity [{start}, {end}): confidence {sure!r:.60} is no number")
    return Span(start, end, type_, text[start:end], float(sure))


def _has(value: object, *keys: str) -> bool:
    return isinstance(value, Mapping) and all(key in value for key in keys)


def _pair(value: object) -> tuple[object, object]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"field {WORDS!r}: {value!r:.60} must be a pair [start, end]")
    return value[0], value[1]


def _places(start: object, end: object) -> tuple[int, int]:
    if type(start) is not int or type(end) is not int:
        raise InputError(f"[{start!r:.40}, {end!r:.40}): start and end must be whole numbers")
    return start, end
