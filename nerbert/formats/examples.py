"""Annotated sentences, in any format: what a format is, which there are, and how a file is read.

A format is one class and one line in `FORMATS`. A file is read in the format that the user names. Otherwise the first
format that recognises the beginning of the file is taken; formats with the file's suffix are asked first. The price: a
file without a known suffix is opened twice.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from nerbert.errors import InputError
from nerbert.labels import WordSpan, example_tags
from nerbert.records import Example, Span
from nerbert.registry import FORMATS
from nerbert.words import split_words

_HEAD = 1 << 20
"""Bytes of a file by which its format is recognised."""
_FOREIGN_BEGINS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "packed with gzip",
    b"BZh": "packed with bz2",
}
_KEY = re.compile(r'"(\w+)"\s*:')


class Format(Protocol):
    """An annotation format; a class that is made without arguments."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of its files end, in lower case (`.conll`); the first is that of files to be written."""

    def recognise(self, head: bytes) -> bool:
        """Return whether a file that begins with these bytes (all of a small file) is of this format."""

    def read(self, path: Path) -> Iterator[Example]:
        """Yield the sentences of a file; raise InputError that names the line, by `nerbert.errors.at`."""

    def write(self, path: Path, examples: Iterable[Example]) -> None:
        """Write sentences so that `read` yields them again."""


def read_examples(path: Path, format_: str = "") -> list[Example]:
    """Return the sentences of a file, in the format named or else recognised; raise InputError if there are none."""
    try:
        examples = list(find_format(path, format_).read(path))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if not examples:
        raise InputError(f"{path}: holds no sentence")
    return examples


def example_of_spans(text: str, spans: Iterable[WordSpan], tokens: Sequence[str] | None = None) -> Example:
    """Return a text with entities (start, end, type) in characters as a sentence; raise InputError for wrong ones.

    Without `tokens` its words are those of the corpus's splitter, cut where an entity begins or ends.
    """
    known: list[Span] = []
    for start, end, type_ in sorted(spans):
        if not (0 <= start < end <= len(text) and type_):
            raise InputError(f"entity {start}–{end} of type {type_!r}: the text has {len(text)} characters")
        known.append(Span(start, end, type_, text[start:end]))
    words = tuple(_cut(text, known) if tokens is None else _located(text, tokens))
    example = Example(text, words, tuple(known))
    example_tags(example)  # raises for entities that overlap or cut a word
    return example


def find_format(path: Path, format_: str = "") -> Format:
    """Return the format named, or else that of a file; raise InputError for a file of a format that isn't read."""
    if format_:
        return FORMATS.find(format_)()
    if found := recognised(path):
        return found
    if other := _foreign(_head(path), path.name.lower()):
        known = ", ".join(f"{name} ({FORMATS.find(name)().suffixes[0]})" for name in FORMATS)
        raise InputError(f"{path}: seems to be {other}; formats read are {known}, and your own with --from module:name")
    return _by_suffix(path)[0]


def recognised(path: Path) -> Format | None:
    """Return the format of a file by its content; None if no format recognises it."""
    head = _head(path)
    return next((each for each in _by_suffix(path) if each.recognise(head)), None)


def _foreign(head: bytes, name: str) -> str:
    """Return what a file with this beginning seems to be that no format reads, such as `CSV`; "" for no guess.

    JSON in a file named as JSON lines is left to their reader, which names the line and the fault.
    """
    if found := next((tool for magic, tool in _FOREIGN_BEGINS.items() if head.startswith(magic)), ""):
        return found
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith(("{", "[")) and (keys := sorted(set(_KEY.findall(text)))):
        return "" if name.endswith((".jsonl", ".ndjson")) else f"JSON with {', '.join(keys):.60}"
    if text.startswith("<"):
        return "XML or HTML"
    lines = [line for line in text.splitlines()[:20] if line]
    counts = [{line.count(separator) for line in lines} for separator in ",;"]
    return "CSV" if len(lines) > 1 and any(len(each) == 1 and each != {0} for each in counts) else ""


def _by_suffix(path: Path) -> list[Format]:
    """Return all formats, those of the file's suffix first."""
    known = [FORMATS.find(name)() for name in FORMATS]
    return sorted(known, key=lambda each: not path.name.lower().endswith(each.suffixes))


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)


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
            raise InputError(f"token {number} (from 0), {token!r:.60}, isn't in the text after the one before")
        place = start + len(token)
        yield start, place
