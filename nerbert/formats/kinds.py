"""Kinds of files by name: the annotation formats, and what only `nerbert tag` reads or writes (text, HTML).

A kind says of itself how names of its files end, what its files can hold, and what can be done with it: `texts` (read
row by row, as rows come), `writer` (written so), `blocks` and `write_blocks` (in columns). `by_name` has the endings
that tell the kind without a look at the content.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import PurePath
from typing import Any

from nerbert.formats.format import abilities, usable
from nerbert.formats.plain import Page, PlainText
from nerbert.registry import FORMATS

TEXT, JSONL, CONLL, PARQUET, CSV, HTML = "text", "jsonl", "conll", "parquet", "csv", "html"
_OTHERS = {TEXT: PlainText, HTML: Page}
PACKED = (".gz", ".bz2", ".xz")
"""How names of packed files end."""


def kind_named(name: str) -> Any:
    """Return a kind of files; raise SettingsError for a name that is none."""
    return _OTHERS[name]() if name in _OTHERS else FORMATS.find(name)()


def known_kinds() -> list[str]:
    """Return the names of all kinds, those first that a file's name tells."""
    names = (*_OTHERS, *FORMATS)
    return sorted(names, key=lambda name: name not in _by_suffix(names).values())


def is_known(name: str) -> bool:
    """Return whether this names a kind, perhaps one's own as module:name."""
    return name in _OTHERS or FORMATS.contains(name)


def can(name: str, *does: str) -> bool:
    """Return whether a kind has one of these methods."""
    return any(hasattr(kind_named(name), each) for each in does)


def keeps_rows(name: str) -> bool:
    """Return whether a kind is written with all that rows of any input hold."""
    return name == HTML or can(name, "writer", "write_blocks")


def for_programs(name: str) -> bool:
    """Return whether programs read offsets and fields of every text in the files of a kind."""
    return bool(getattr(kind_named(name), "for_programs", False))


def suffixes_of(name: str) -> tuple[str, ...]:
    """Return how names of the files of a kind end; nothing for a format of folders."""
    suffixes: tuple[str, ...] = kind_named(name).suffixes
    return suffixes


@cache
def _by_suffix(names: tuple[str, ...]) -> dict[str, str]:
    return {suffix: name for name in names for suffix in getattr(kind_named(name), "by_name", ())}


def kind_of_name(path: PurePath) -> str:
    """Return the kind of a file that its name tells, compressed or not; "" if the content must."""
    return _by_suffix((*_OTHERS, *FORMATS)).get(unpacked_name(path).suffix.lower(), "")


def unpacked_name(path: PurePath) -> PurePath:
    """Return a file's name without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def nested_kinds() -> Iterator[str]:
    """Yield the kinds that hold entities that lie in one another."""
    return (name for name in known_kinds() if abilities(kind_named(name)).nested)


def check_usable(name: str) -> None:
    """Raise MissingExtra if a library that a kind needs is missing."""
    usable(kind_named(name))
