"""Annotated sentences, in any format: what a format is, which there are, and how a file is read or written.

A format is one class and one line in `FORMATS`. A file is read in the format that the user names. Otherwise the first
format that recognises the beginning of the file is taken; formats with the file's suffix are asked first. The price: a
file without a known suffix is opened twice.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from nerbert.errors import InputError
from nerbert.formats.foreign import foreign
from nerbert.records import Example
from nerbert.registry import Registry

_HEAD = 1 << 20
"""Bytes of a file by which its format is recognised."""


class Format(Protocol):
    """An annotation format; a class that is made without arguments."""

    suffixes: tuple[str, ...]
    """How names of its files end, in lower case (`.conll`); the first is that of files to be written."""

    def recognise(self, head: bytes) -> bool:
        """Return whether a file that begins with these bytes (all of a small file) is of this format."""

    def read(self, path: Path) -> Iterator[Example]:
        """Yield the sentences of a file; raise InputError that names the line, by `nerbert.errors.at`."""

    def write(self, path: Path, examples: Iterable[Example]) -> None:
        """Write sentences so that `read` yields them again."""


FORMATS = Registry[Callable[[], Format]](
    "format", {"conll": "nerbert.formats.conll:Conll", "jsonl": "nerbert.formats.jsonl:JsonLines"}
)
"""The formats of annotated sentences; what no format recognises is read as the first."""


def read_examples(path: Path, format_: str = "") -> list[Example]:
    """Return the sentences of a file, in the format named or else recognised; raise InputError if there are none."""
    try:
        examples = list(find_format(path, format_).read(path))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if not examples:
        raise InputError(f"{path}: holds no sentence")
    return examples


def write_examples(path: Path, examples: Iterable[Example], format_: str = "") -> None:
    """Write sentences in the format named, or in that of the file's suffix; CoNLL if there is none."""
    (FORMATS.find(format_)() if format_ else _by_suffix(path)[0]).write(path, examples)


def find_format(path: Path, format_: str = "") -> Format:
    """Return the format named, or else that of a file; raise InputError for a file of a format that isn't read."""
    if format_:
        return FORMATS.find(format_)()
    if found := recognised(path):
        return found
    if other := foreign(_head(path)):
        known = ", ".join(f"{name} ({FORMATS.find(name)().suffixes[0]})" for name in FORMATS)
        raise InputError(f"{path}: seems to be {other}; formats read are {known}, and your own with --from module:name")
    return _by_suffix(path)[0]


def recognised(path: Path) -> Format | None:
    """Return the format of a file by its content; None if no format recognises it."""
    head = _head(path)
    return next((each for each in _by_suffix(path) if each.recognise(head)), None)


def _by_suffix(path: Path) -> list[Format]:
    """Return all formats, those of the file's suffix first."""
    known = [FORMATS.find(name)() for name in FORMATS]
    return sorted(known, key=lambda each: not path.name.lower().endswith(each.suffixes))


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)
