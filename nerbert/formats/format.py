"""What an annotation format is: a class that recognises, reads and writes files, and one line in `registry.FORMATS`.

A format says what a file holds, and no more: spans as they are written there, in whatever unit they count, even if they
overlap or cut words. `nerbert.formats.documents` puts that right, in the same way for all formats.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from nerbert.records import Document, Repairs
from nerbert.registry import FORMATS


class Format(Protocol):
    """An annotation format; a class that is made without arguments."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of its files end, in lower case (`.conll`); the first is that of files to be written.

        A format whose data is a folder has none.
        """

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file that begins with these bytes (1 MB, or a whole JSON value) or a folder is of this."""

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield what a file or folder holds, in order, as it is read; count in `repairs` what is passed over.

        Raise InputError that names the line, by `nerbert.errors.at`.
        """

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents so that `read` yields them again; their spans count characters and don't overlap."""


def format_name(one: Format | None) -> str:
    """Return the name under which a format is known; "" if it isn't."""
    return next((name for name in FORMATS if type(FORMATS.find(name)()) is type(one)), "")


def formats_of_suffix(suffix: str) -> list[str]:
    """Return the names of the formats whose files end so, in the order in which they are asked."""
    return [name for name in FORMATS if suffix in FORMATS.find(name)().suffixes]
