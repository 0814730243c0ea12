"""What is written row by row: JSON lines, CoNLL, text for people; and the finished parts of an output.

The same lines go to a pipe as they come and, part by part, into files; so a file made in parts is those parts, one
after the other. Parquet and HTML pages are other outputs with the same three methods (`Output`).
"""

import re
import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nerbert.artifacts import publish, read_json, write_json
from nerbert.errors import InputError, at
from nerbert.formats.conll import check_types, conll_block
from nerbert.formats.jsonl import object_line
from nerbert.formats.rows import SPANS, span_json
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
        """Accept any part: lines may follow one another."""

    def whole(self, parts: Sequence[Path], target: Path, entities: Mapping[str, int]) -> None:
        """Write the parts one after the other."""
        with target.open("wb") as stream:
            for part in parts:
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, stream)


def json_lines(*, utf16: bool) -> Lines:
    """Write each row as an object: all that the input has of it, and `spans`; offsets in characters or UTF-16 units."""

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans, fields in zip(block.rows, found, fields_of(block), strict=True):
            with at(block.name, row.number):
                counted = utf16_spans(row.text, spans) if utf16 else spans
                line = object_line({**fields, SPANS: [span_json(each) for each in counted]})
            yield line

    return lines


def conll_lines(tagger: "Tagger", *, terminal: bool) -> Lines:
    """Write each row as sentences of `word<TAB>tag`: its own words, or else the tagger's sentences and words."""
    check_types(tagger.types)

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans in zip(block.rows, found, strict=True):
            with at(block.name, row.number):
                own = row.example and [replace(row.example, spans=tuple(spans))]
                text = "".join(conll_block(each) for each in own or _sentences(tagger, row.text, spans) if each.words)
            yield (_COLUMN.sub(lambda part: visible(part[0]), text) if terminal else text).encode("utf-8", "replace")

    return lines


def text_lines(*, terminal: bool) -> Lines:
    """Write each row as people read it, in colour if that is a terminal."""
    shown = TextRows(terminal=terminal)
    return lambda block, found: (shown.text(row, spans) for row, spans in zip(block.rows, found, strict=True))


def fields_of(block: Block) -> Sequence[Mapping[str, Any]]:
    """Return all that the input has of each row, as JSON can hold it."""
    if block.batch is None:
        return [row.fields for row in block.rows]
    from nerbert.formats.parquet import plain_rows

    with at(block.name):
        rows = plain_rows(block.batch)
    return [{**row.fields, **fields} for row, fields in zip(block.rows, rows, strict=True)]


def _sentences(tagger: "Tagger", text: str, spans: Sequence[Span]) -> Iterator[Example]:
    """Yield the tagger's sentences of a text, each with its entities: the words that end in one."""
    place = 0
    for offset, sentence in tagger.sentences(text):
        inside, ends = [], [offset + end for _, end in sentence.words]
        while place < len(spans):
            span = spans[place]
            first, last = bisect_right(ends, span.start), bisect_right(ends, span.end)
            if first == last:
                break
            inside.append(replace(span, start=sentence.words[first][0], end=sentence.words[last - 1][1]))
            place += 1
        yield replace(sentence, spans=tuple(inside))
    if place < len(spans):
        raise InputError(
            f"entity {spans[place].text!r:.60} lies in no sentence, so CoNLL can't hold it; choose --to jsonl"
        )


@dataclass(slots=True)
class RowCounts:
    """Rows, and entities by type."""

    rows: int = 0
    entities: Counter[str] = field(default_factory=Counter)

    def add(self, other: "RowCounts") -> None:
        """Count what another tally has."""
        self.rows += other.rows
        self.entities.update(other.entities)

    def summary(self) -> str:
        """Return a summary in words, the most frequent types first."""
        count = self.entities.total()
        types = ", ".join(f"{name} {each:,}" for name, each in self.entities.most_common())
        return f"{self.rows:,} rows, {count:,} entities{f' ({types})' if types else ''}"


class Kept:
    """Finished parts of one output, in a folder of their own: a file each, and a mark with what it was made from.

    A part is reused only if its rows have the same SHA-256; the folder's fingerprint guards the rest (tagger,
    settings). So an input that was corrected in one line costs the parts from there on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        """Return the path of a part."""
        return self._folder / f"{number:06d}.part"

    def find(self, number: int, block: Block) -> RowCounts | None:
        """Return what a part counts, if it is done and of these rows."""
        part, mark = self.path(number), self._mark(number)
        if not part.is_file() or not mark.is_file():
            return None
        try:
            told = read_json(mark)
            same = told["rows_sha256"] == block.digest and told["size"] == part.stat().st_size
            return RowCounts(int(told["rows"]), Counter(told["entities"])) if same else None
        except (InputError, KeyError, TypeError, ValueError):
            return None

    def write(self, number: int, block: Block, found: Sequence[Sequence[Span]], output: Output) -> RowCounts:
        """Write a part and then its mark; the mark of another part that stood there goes first."""
        part = self.path(number)
        self._mark(number).unlink(missing_ok=True)
        with publish(part) as draft:
            output.part(block, found, draft)
        tally = RowCounts(len(block.rows), Counter(span.type for spans in found for span in spans))
        told: dict[str, Any] = {"rows_sha256": block.digest, "size": part.stat().st_size, "rows": tally.rows}
        write_json(self._mark(number), told | {"entities": tally.entities})
        return tally

    def _mark(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"
