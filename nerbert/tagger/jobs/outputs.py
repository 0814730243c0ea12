"""What goes out row by row: JSON lines, CoNLL, text for people.

The same lines go to a pipe as they come and, part by part, into files; so a file made in parts is those parts, one
after the other. Parquet and pages, which are wholes, have modules of their own with the same three verbs.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nerbert.errors import InputError, NerbertError, at
from nerbert.formats.conll import conll_block
from nerbert.formats.jsonl import object_line
from nerbert.formats.rows import SPANS, TextRow, span_json
from nerbert.records import Example, Span
from nerbert.tagger.jobs.inputs import Block
from nerbert.tagger.jobs.preview import TextRows
from nerbert.tagger.spans import utf16_spans
from nerbert.terminal import visible

if TYPE_CHECKING:
    from nerbert.tagger.tagger import Tagger

_COLUMN = re.compile(r"[^\t\n]+")

Tagged = Iterable[Sequence[Span]]
"""The entities of each row of a block."""
Lines = Callable[[Block, Tagged], Iterator[bytes]]
"""The tagged rows of a block as bytes, row by row."""


class Output(Protocol):
    """A format of files that are made part by part."""

    def part(self, block: Block, found: Sequence[Sequence[Span]], path: Path) -> None:
        """Write the part of one block to `path`."""

    def check(self, part: Path) -> None:
        """Raise InputError if a part can't stand in one file with those checked before."""

    def whole(self, parts: Sequence[Path], target: Path, entities: Mapping[str, int]) -> None:
        """Put finished parts together; `entities` are counted by type, over all parts."""


class LineOutput:
    """A file of lines."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def part(self, block: Block, found: Sequence[Sequence[Span]], path: Path) -> None:
        """Write the lines of one block."""
        with path.open("wb") as stream:
            stream.writelines(self._lines(block, found))

    def check(self, part: Path) -> None:
        """Any lines may follow one another."""

    def whole(self, parts: Sequence[Path], target: Path, entities: Mapping[str, int]) -> None:
        """Write the parts one after the other."""
        with target.open("wb") as stream:
            for part in parts:
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, stream)


def json_lines(*, utf16: bool) -> Lines:
    """Each row as an object: all that the input has of it, and `spans`; offsets in characters or UTF-16 units."""

    def line(row: TextRow, spans: Sequence[Span], fields: Mapping[str, Any]) -> bytes:
        counted = utf16_spans(row.text, spans) if utf16 else spans
        return object_line({**fields, SPANS: [span_json(each) for each in counted]})

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans, fields in zip(block.rows, found, fields_of(block), strict=True):
            try:
                yield line(row, spans, fields)
            except NerbertError:
                with at(block.name, row.number):
                    raise

    return lines


def conll_lines(tagger: "Tagger", *, terminal: bool) -> Lines:
    """Each row as sentences of `word<TAB>tag`: its own words, or else the tagger's sentences and words."""
    _check_types(tagger.types)

    def sentences(row: TextRow, spans: Sequence[Span]) -> str:
        if row.example is not None:
            return _sentence(replace(row.example, spans=tuple(spans)))
        return "".join(_sentence(each) for each in _sentences(tagger, row.text, spans))

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans in zip(block.rows, found, strict=True):
            try:
                text = sentences(row, spans)
                shown = _COLUMN.sub(lambda part: visible(part[0]), text) if terminal else text
                yield shown.encode("utf-8", "replace")
            except NerbertError:
                with at(block.name, row.number):
                    raise

    return lines


def text_lines(*, terminal: bool) -> Lines:
    """Each row as people read it, in colour if that is a terminal."""
    shown = TextRows(terminal=terminal)

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans in zip(block.rows, found, strict=True):
            yield shown.text(row, spans)

    return lines


def fields_of(block: Block) -> Sequence[Mapping[str, Any]]:
    """All that the input has of each row, as JSON can hold it."""
    if block.batch is None:
        return [row.fields for row in block.rows]
    from nerbert.formats.parquet import plain_rows

    with at(block.name):
        rows = plain_rows(block.batch)
    return [{**row.fields, **fields} for row, fields in zip(block.rows, rows, strict=True)]


def _sentences(tagger: "Tagger", text: str, spans: Sequence[Span]) -> Iterator[Example]:
    """The tagger's sentences of a text, each with its entities."""
    place = 0
    for offset, sentence in tagger.sentences(text):
        inside = []
        while place < len(spans) and spans[place].end <= offset + len(sentence.text):
            span = spans[place]
            inside.append(replace(span, start=span.start - offset, end=span.end - offset))
            place += 1
        yield replace(sentence, spans=tuple(inside))
    if place < len(spans):
        raise InputError(
            f"entity {spans[place].text!r:.60} lies in no sentence, so CoNLL can't hold it; choose --to jsonl"
        )


def _sentence(example: Example) -> str:
    """A sentence as CoNLL; nothing for one without words."""
    for word in example.tokens:
        if "\t" in word or "\n" in word or "\r" in word:
            raise InputError(
                f"word {word!r:.60} holds a tab or the end of a line, which CoNLL can't; choose --to jsonl"
            )
    return conll_block(example) if example.words else ""


def _check_types(types: Iterable[str]) -> None:
    """Raise InputError for a type that splits CoNLL's columns."""
    if broken := next((each for each in types if each.split() != [each]), ""):
        raise InputError(f"type {broken!r} holds white space, which splits CoNLL's columns; choose --to jsonl")
