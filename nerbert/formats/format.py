"""What an annotation format is: a class that recognises, reads and writes files, and one line in `registry.FORMATS`.

A format gives spans as a file has them; `nerbert.formats.documents` puts them right, in the same way for all formats.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nerbert.errors import need
from nerbert.records import Document, Example, Repairs
from nerbert.registry import FORMATS

Fields = Callable[[Document], Mapping[str, Any]]
"""Returns a document's fields as they come back from a file."""


def all_fields(document: Document) -> Mapping[str, Any]:
    """Return all fields."""
    return document.fields


def fields_without(*reserved: str) -> Fields:
    """Return what gives all fields, but those with names that the format needs itself."""
    return lambda document: {name: each for name, each in document.fields.items() if name not in reserved}


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a format keeps of a document, besides the places and types of its entities."""

    text: Literal["whole", "line", "sentences", "words"] = "whole"
    """A text as it is; only one of one line; its sentences, each a text with words; only words, joined by spaces."""
    words: bool = True
    """Where words begin and end."""
    groups: bool = True
    """Which texts belong to one document."""
    tagged: bool = True
    """Whether only a model tagged a text."""
    confidences: Literal["all", "tagged", "none"] = "all"
    """Confidences of all texts, of those that only a model tagged, or none."""
    fields: Fields = all_fields
    nested: bool = False
    """Entities that lie in one another."""

    def keep_text(self, text: str) -> bool:
        """Return whether a text comes back as it is, not as its sentences."""
        return self.text == "whole" or (self.text == "line" and text.splitlines() == [text.strip()])


@dataclass(frozen=True, slots=True)
class WritingRows:
    """How texts are written one by one: what cuts them into sentences, all types, and whether a terminal shows them."""

    sentences: Callable[[str], Iterable[tuple[int, Example]]]
    types: Iterable[str] = ()
    terminal: bool = False


TextWriter = Callable[[Document], bytes]
"""Returns a text with its entities as it is written."""
LEAST = Abilities(text="line", words=False, groups=False, tagged=False, confidences="none", fields=lambda _: {})
"""Those of a format that keeps texts of one line and their entities, and nothing else."""


class Format(Protocol):
    """An annotation format; a class that is made without arguments.

    One that needs a library names an extra of nerbert and its modules: `needs = ("spacy", "spacy")`. `nerbert tag` uses
    further members where a format has them (docs/extending/format.md).
    """

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of its files end, in lower case (`.conll`); the first is that of files to be written.

        A format whose data is a folder has none.
        """

    @property
    def holds(self) -> Abilities:
        """What a file keeps of a document."""

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file that begins with these bytes or a folder is of this.

        They are at most 1 MB; for the JSON formats of nerbert a whole value.
        """

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield what a file or folder holds, in order, as it is read; count in `repairs` what is passed over.

        Raise InputError that names the line, by `nerbert.errors.at`.
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
    """Return what a format holds; formats of users may be older than abilities."""
    return getattr(one, "holds", LEAST)


def format_name(one: Format | None) -> str:
    """Return the name under which a format is known; "" if it isn't."""
    return next((name for name, each in known_formats().items() if type(each) is type(one)), "")


def formats_of_suffix(suffix: str) -> list[str]:
    """Return the names of the formats whose files end so, in the order in which they are asked."""
    return [name for name, each in known_formats().items() if suffix in each.suffixes]
