"""Marked text: one text per line, with its entities in brackets: `[Fram|polar ship] left [Oslo|port city].`

Marks may be nested and have several types. A backslash escapes the next character.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from nerbert.artifacts import publish
from nerbert.errors import InputError
from nerbert.formats.format import LEAST, Abilities
from nerbert.formats.lines import file_lines
from nerbert.records import Document, Repairs, Span

_COMMENT = "#"
_PARTS = re.compile(r"\A\\#|\\[\[\]|\\]|[\[\]|]|[^\[\]|\\]+|\\")
_SPECIAL = re.compile(r"[\[\]|\\]")
_DEEPEST = 100
"""Maximum depth of nested marks."""


class _OpenMark(NamedTuple):
    """A mark that isn't closed yet; its types are in pieces. `pieces` and `entities` count those before it."""

    column: int
    start: int
    pieces: int
    entities: int
    types: list[list[str]]


class Marked:
    """The format `marked`."""

    suffixes: ClassVar[tuple[str, ...]] = (".marked",)
    holds: ClassVar[Abilities] = LEAST

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the file has the suffix, since any text is valid in this format."""
        return path.name.lower().endswith(self.suffixes)

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the texts of a file."""
        for line in file_lines(path):
            if line.text.strip() and not line.text.startswith(_COMMENT):
                indent = len(line.text) - len(line.text.lstrip())
                with line.locate_errors():
                    text, spans = parse_marks(line.text.strip(), indent + 1)
                yield Document(text, spans, line=line.number)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write one text per line, atomically; line breaks in a text become spaces, lone surrogates a `?`."""
        with publish(path) as draft, draft.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.writelines(f"{write_marks(document)}\n" for document in documents)


def parse_marks(line: str, first: int = 1) -> tuple[str, tuple[Span, ...]]:
    """Return the text of a marked line, and its entities in the order in which they begin, outer ones first.

    Raise InputError with the column (counted from `first`) for a mark that isn't closed, is empty or has no type.
    """
    text: list[str] = []
    size = 0
    spans: list[Span] = []
    open_: list[_OpenMark] = []
    for part in _PARTS.finditer(line):
        token = part[0]
        column = part.start() + first
        if token == "[":
            if open_ and open_[-1].types:
                raise InputError(f"column {column}: '[' in a type; write \\[ if it belongs there")
            if len(open_) == _DEEPEST:
                raise InputError(f"column {column}: {_DEEPEST} nested marks; no more are read")
            open_.append(_OpenMark(column, size, len(text), len(spans), []))
        elif token == "|" and open_:
            open_[-1].types.append([])
        elif token == "]":
            if not open_:
                raise InputError(f"column {column}: ']' closes no mark; write \\] if it belongs to the text")
            mark = open_.pop()
            # The outer mark is closed after those inside it, but comes before them
            spans[mark.entities : mark.entities] = _of_mark(mark, "".join(text[mark.pieces :]))
        else:
            piece = token[1:] if len(token) == 2 and token[0] == "\\" else token
            if open_ and open_[-1].types:
                open_[-1].types[-1].append(piece)
            else:
                text.append(piece)
                size += len(piece)
    if open_:
        raise InputError(f"column {open_[-1].column}: a mark is not closed; write \\[ if it belongs to the text")
    return "".join(text), tuple(spans)


def write_marks(document: Document) -> str:
    """Return a text as a marked line, for `parse_marks`; raise InputError for crossing entities."""
    marks: dict[tuple[int, int], list[str]] = {}
    # Outer entities first, so that they are opened first
    for span in sorted(document.spans, key=lambda span: (span.start, -span.end)):
        marks.setdefault((span.start, span.end), []).append(span.type)
    line = []
    here = 0
    open_: list[tuple[int, list[str]]] = []  # end, types

    def go(position: int) -> None:
        nonlocal here
        while open_ and open_[-1][0] <= position:
            end, types = open_.pop()
            line.append(_escape(document.text[here:end]) + "".join(f"|{_escape(type_)}" for type_ in types) + "]")
            here = end
        line.append(_escape(document.text[here:position]))
        here = position

    for (start, end), types in marks.items():
        go(start)
        if open_ and end > open_[-1][0]:
            raise InputError(f"entity {document.text[start:end]!r:.60} crosses another, which marks can't show")
        line.append("[")
        open_.append((end, types))
    go(len(document.text))
    text = "".join(line)
    # A text that begins with `#` would be read as a comment
    return "\\" + text if text.startswith(_COMMENT) else text


def _of_mark(mark: _OpenMark, content: str) -> Iterator[Span]:
    """Yield the entities of a closed mark."""
    names = ["".join(pieces).strip() for pieces in mark.types]
    where = f"column {mark.column}: mark {content!r:.60}"
    if not all(names) or not names:
        raise InputError(f"{where} has no type; write [text|type], or \\[ for a bracket")
    if not content.strip() or content != content.strip():
        raise InputError(f"{where} is empty or has a space at its edge")
    # `[Fram|ship|ship]` is one entity
    for name in dict.fromkeys(names):
        yield Span(mark.start, mark.start + len(content), name, content)


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text).replace("\n", " ").replace("\r", " ")
