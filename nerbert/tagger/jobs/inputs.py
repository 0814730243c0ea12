"""What comes in: blocks of rows, from lines that are at hand or from batches of Parquet.

A block is what is tagged together. The rows before a broken line are a block of their own, so what was whole is tagged
before the error is raised. Where work must resume after a kill, `parts` cuts the same rows into blocks that depend on
nothing but the input's bytes.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, NerbertError, at
from nerbert.formats.conll import columns_of
from nerbert.formats.jsonl import json_object
from nerbert.formats.lines import decoded, lines_at_hand
from nerbert.formats.rows import TOKENS, TextRow, row_of, row_of_words
from nerbert.sources.files import open_plain
from nerbert.tagger.jobs.paths import CONLL, JSONL, PARQUET, STDIN, TEXT, InputFile

_PART = 1 << 18
"""Bytes of input that are tagged, and kept, together."""
_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How inputs are read: the field (or column) that holds the text, and what becomes of bytes that are no UTF-8."""

    field: str = "text"
    errors: str = "strict"


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of the file `name` that came together, from so many bytes; `batch` has the columns of rows of Parquet.

    `digest` is what tells these rows from any others; only parts have it.
    """

    name: str
    rows: Sequence[TextRow]
    size: int
    batch: Any = None
    digest: str = ""


_Parser = Callable[[int, bytes | None], TextRow | None]
"""(a line's number, the line) → the row that it completes, if it does; None for a line is the end of the file."""


def read_blocks(source: InputFile, how: ReadOptions) -> Iterator[Block]:
    """Yield what a source holds, block by block as it comes; raise InputError that names the line."""
    if source.kind == PARQUET:
        yield from _parquet_blocks(source, how)
        return
    with _opened(source) as stream:
        yield from _line_blocks(str(source), stream, _PARSERS[source.kind](how))


def parts(source: InputFile, how: ReadOptions) -> Iterator[Block]:
    """Yield the same rows in blocks that are cut alike each time, each with its digest."""
    if source.kind == PARQUET:
        whole, first = sha256_of(Path(source.place)), 1
        for block in read_blocks(source, how):
            yield replace(block, digest=f"{whole} from row {first}, {how.errors}")
            first += len(block.rows)
        return
    held: list[TextRow] = []
    size = 0
    for block in read_blocks(source, how):
        for row in block.rows:
            held.append(row)
            size += len(row.raw) + 1
            if size >= _PART:
                yield _part(source, how, held, size)
                held, size = [], 0
    if held:
        yield _part(source, how, held, size)


def _part(source: InputFile, how: ReadOptions, rows: list[TextRow], size: int) -> Block:
    """Return a part; its digest also covers where rows end, and whether bytes were replaced."""
    raw = b"\n\n".join(row.raw for row in rows)
    digest = hashlib.sha256(raw).hexdigest()
    if how.errors != "strict":
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            digest += f", {how.errors}"
    return Block(str(source), rows, size, digest=digest)


@contextmanager
def _opened(source: InputFile) -> Iterator[IO[bytes]]:
    if source.place == STDIN:
        if sys.stdin is None:
            raise InputError("standard input: is closed; name a file")
        try:
            yield cast("IO[bytes]", sys.stdin.buffer)
        except OSError as error:
            raise InputError(f"standard input: can't be read: {error.strerror}") from error
        return
    with open_plain(Path(source.place)) as stream:
        yield stream


def _line_blocks(name: str, stream: IO[bytes], parser: _Parser) -> Iterator[Block]:
    number, lines = 0, lines_at_hand(stream)
    while True:
        with at(name, number + 1):
            some = next(lines, None)
        if some is None:
            break
        rows: list[TextRow] = []
        fault = None
        try:
            for number, raw in enumerate(some, number + 1):  # noqa: B020
                if row := parser(number, raw):
                    rows.append(row)
        except NerbertError as error:
            fault = error
        if rows:
            yield Block(name, rows, sum(map(len, some)) + len(some))
        if fault is not None:
            with at(name, number):
                raise fault
    if last := parser(number, None):
        yield Block(name, [last], 0)


def _parquet_blocks(source: InputFile, how: ReadOptions) -> Iterator[Block]:
    from nerbert.formats.parquet import mended, read_batches, row_count, texts_of

    if source.place == STDIN:
        raise InputError("standard input: Parquet is read from its end on, so a pipe won't do; name the file")
    path, first = Path(source.place), 1
    row_size = (source.size or 0) / max(1, row_count(path))
    for batch in read_batches(path):
        with at(path):
            texts = texts_of(batch, how.field, first, how.errors)
        rows = [
            TextRow(number, text, None, {}, b"") if isinstance(text, str) else row_of_words(number, text, {})
            for number, text in enumerate(texts, first)
        ]
        whole = batch if how.errors == "strict" else mended(batch, how.field, texts)
        yield Block(str(path), rows, round(row_size * len(rows)), whole)
        first += len(rows)


def _text_rows(how: ReadOptions) -> _Parser:
    """Parse a row a line."""

    def parse(number: int, raw: bytes | None) -> TextRow | None:
        if raw is None:
            return None
        if number == 1 and raw.startswith(_PARQUET):
            raise InputError("is Parquet, not text; pass --from parquet")
        text = decoded(raw, number, how.errors).rstrip("\r")
        return TextRow(number, text, None, {"text": text}, raw)

    return parse


def _json_rows(how: ReadOptions) -> _Parser:
    """Parse a row an object; empty lines are none."""

    def parse(number: int, raw: bytes | None) -> TextRow | None:
        text = "" if raw is None else decoded(raw, number, how.errors)
        return row_of(number, json_object(text), how.field, raw or b"") if text.strip() else None

    return parse


def _conll_rows(how: ReadOptions) -> _Parser:
    """Parse a row a sentence: the first column is its words, all others are passed over."""
    held: list[tuple[int, str, bytes]] = []

    def parse(number: int, raw: bytes | None) -> TextRow | None:
        line = "" if raw is None else decoded(raw, number, how.errors).rstrip("\r")
        if raw is not None and (columns := columns_of(line, tagged=False)):
            held.append((number, columns[0], raw))
            return None
        if not held:
            return None
        words = [word for _, word, _ in held]
        row = row_of_words(held[0][0], words, {TOKENS: words}, b"\n".join(each for _, _, each in held))
        held.clear()
        return row

    return parse


_PARSERS = {TEXT: _text_rows, JSONL: _json_rows, CONLL: _conll_rows}
