"""The protocol of an annotation format: a class that recognises, reads and writes files, registered in `FORMATS`.

A format returns spans as written in a file; `nerbert.formats.documents` repairs them, the same way for all formats.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nerbert.errors import need
from nerbert.records import Document, Example, Repairs
from nerbert.registry import FORMATS

Fields = Callable[[Document], Mapping[str, Any]]
"""Returns a document's fields as they are read back from a file."""


def fields_without(*reserved: str) -> Fields:
    """Return a function for all fields except those whose names the format uses itself."""
    return lambda document: {name: each for name, each in document.fields.items() if name not in reserved}


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a format keeps of a document, besides the places and types of its entities."""

    text: Literal["whole", "line", "sentences", "words"] = "whole"
    """The whole text; a text of one line; its sentences, each a text with words; only words, joined by spaces."""
    words: bool = True
    """Word boundaries."""
    groups: bool | Literal["adjacent"] = True
    """Which texts belong to one document; `adjacent`: if they follow each other."""
    tagged: bool = True
    """Whether only a model tagged a text."""
    confidences: Literal["all", "tagged", "none"] = "all"
    """Confidences of all texts, of those that only a model tagged, or none."""
    fields: Fields = lambda document: document.fields
    nested: bool = False
    """Nested entities."""

    def keep_text(self, text: str) -> bool:
        """Return whether a text is kept as it is, but for a line break at its end, and not as its sentences."""
        is_line = text.splitlines() == [text.strip().removeprefix("\ufeff")]
        return self.text == "whole" or (self.text == "line" and is_line)


@dataclass(frozen=True, slots=True)
class WritingRows:
    """How texts are written one by one: the sentence splitter, all types, and whether the output is a terminal."""

    sentences: Callable[[str], Iterable[tuple[int, Example]]]
    types: Iterable[str] = ()
    terminal: bool = False


TextWriter = Callable[[Document], bytes]
"""Returns the bytes of a text with its entities."""
LEAST = Abilities(text="line", words=False, groups=False, tagged=False, confidences="none", fields=lambda _: {})
"""The abilities of a format that keeps only texts of one line and their entities."""


class Format(Protocol):
    """An annotation format; a class that is made without arguments.

    One that needs a library names an extra of nerbert and its modules: `needs = ("spacy", "spacy")`. `nerbert tag` uses
    further members where a format has them (docs/extending/format.md).
    """

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of its files, in lower case (`.conll`); files are written with the first. A format whose data is a
        folder has none.
        """

    @property
    def holds(self) -> Abilities:
        """The parts of a document that a file keeps."""

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file that begins with these bytes (1 MB at most), or a folder, is in this format."""

    def read(self, source: Path, repairs: Repairs, /) -> Iterator[Document]:
        """Yield the documents of a file or folder, in order, while reading; count in `repairs` what is skipped.

        Raise InputError that names the line, by `nerbert.errors.at`. One that `streams` takes a `Stream`, too, and
        yields its texts, with all other fields.
        """

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents so that `read` yields them again; their spans count characters and don't overlap."""


def usable(one: Format) -> Format:
    """Return a format; raise MissingExtra if a library that it needs is missing."""
    if needs := getattr(one, "needs", ()):
        need(*needs)
    return one


def known_formats() -> dict[str, Format]:
    """Return all formats by name, in the order in which they are asked."""
    return {name: FORMATS.find(name)() for name in FORMATS}


def abilities(one: Format) -> Abilities:
    """Return a format's abilities; older formats of users may declare none."""
    return getattr(one, "holds", LEAST)


def format_name(one: Format | None) -> str:
    """Return the registered name of a format; "" if it has none."""
    return next((name for name, each in known_formats().items() if type(each) is type(one)), "")


def formats_of_suffix(suffix: str) -> list[str]:
    """Return the names of the formats with a suffix, in the order in which they are asked."""
    return [name for name, each in known_formats().items() if suffix in each.suffixes]
