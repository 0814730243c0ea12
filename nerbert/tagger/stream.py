"""Tag a file or standard input line by line: JSON lines for programs, coloured text for people.

Whatever lines are at hand are tagged together and printed at once, so a slow pipe is answered line by line and a file
goes in batches. The price: how lines are grouped, and so speed, depends on the writer of a pipe.
"""

import sys
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from rich.console import Console

from nerbert.errors import InputError, at
from nerbert.files import json_line
from nerbert.records import Span
from nerbert.show import coloured, visible
from nerbert.tagger.tagger import Tagger

_BLOCK = 1 << 16


def tag_stream(source: str, file: str, *, as_json: bool) -> None:
    """Tag each line of `file` (`-`: standard input) and print what is found; offsets are into the line."""
    if file != "-" and (not Path(file).exists() or Path(file).is_dir()):
        raise InputError(f"{file}: no such file; give a text file, or - for standard input")
    tagger = Tagger.load(source)
    console = Console(soft_wrap=True)
    for lines in _lines(file):
        for line, spans in zip(lines, tagger.tag_many(lines), strict=True):
            if as_json:
                print(json_line({"text": line, "spans": [span_json(each) for each in spans]}))
            elif line:
                print_tagged(console, line, spans)
        sys.stdout.flush()


def span_json(span: Span) -> dict[str, str | int | float]:
    """A span as JSON: text, type, character start and end, confidence."""
    return {
        "text": span.text, "type": span.type, "start": span.start, "end": span.end,
        "confidence": round(span.confidence, 4),
    }  # fmt: skip


def print_tagged(console: Console, line: str, spans: list[Span]) -> None:
    """Print a line with its entities in colour, then an entity a row."""
    console.print(coloured(line, [(each.start, each.end, each.type) for each in spans]))
    for each in spans:
        row = f"  {each.start}–{each.end}  {visible(each.type)}  {each.confidence:.2f}  {visible(each.text)}"
        console.print(row, style="dim", markup=False, highlight=False)


def _lines(file: str) -> Iterator[list[str]]:
    if file == "-":
        yield from _decoded("standard input", cast("BufferedIOBase", sys.stdin.buffer))
        return
    try:
        with Path(file).open("rb") as stream:
            yield from _decoded(file, stream)
    except OSError as error:
        raise InputError(f"{file}: can't be read: {error.strerror}") from error


def _decoded(name: str, stream: BufferedIOBase) -> Iterator[list[str]]:
    number = 0
    for some in _at_hand(stream):
        lines: list[str] = []
        for raw in some:
            number += 1
            with at(name, number):
                lines.append(_text(raw))
        yield lines


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start} of the line; convert the text to UTF-8") from None


def _at_hand(stream: BufferedIOBase) -> Iterator[list[bytes]]:
    """The whole lines that each read brings; a read waits only while there is nothing."""
    rest: list[bytes] = []
    while block := stream.read1(_BLOCK):
        lines, newline, tail = block.rpartition(b"\n")
        if newline:
            yield b"".join([*rest, lines]).split(b"\n")
            rest.clear()
        if tail:
            rest.append(tail)
    if rest:
        yield [b"".join(rest)]
