"""Kinds of files by name: the annotation formats, and those that only `nerbert tag` reads or writes (text, HTML).

A kind declares its suffixes, its abilities, and what it does: `streams` (reads a `Stream`), `writer` (writes row by
row), `write_rows` (in columns). `by_name` has the suffixes that suffice to know the kind.
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
"""Suffixes of compressed files."""


def kind_named(name: str) -> Any:
    """Return a kind of files; raise SettingsError for an unknown name."""
    return _OTHERS[name]() if name in _OTHERS else FORMATS.find(name)()


def known_kinds() -> list[str]:
    """Return the names of all kinds, those first that a file's name tells."""
    names = (*_OTHERS, *FORMATS)
    return sorted(names, key=lambda name: name not in _by_suffix(names).values())


def is_known(name: str) -> bool:
    """Return whether this names a kind, perhaps a user's as module:name."""
    return name in _OTHERS or FORMATS.contains(name)


def can(name: str, *does: str) -> bool:
    """Return whether a kind has one of these members."""
    return any(getattr(kind_named(name), each, None) for each in does)


def keeps_rows(name: str) -> bool:
    """Return whether a kind is written with all fields of any input's rows."""
    return name == HTML or can(name, "writer", "write_rows")


def for_programs(name: str) -> bool:
    """Return whether the files of a kind have offsets and fields of every text, for programs."""
    return bool(getattr(kind_named(name), "for_programs", False))


def suffixes_of(name: str) -> tuple[str, ...]:
    """Return the suffixes of a kind; nothing for a format of folders."""
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
    """Yield the kinds that hold nested entities."""
    return (name for name in known_kinds() if abilities(kind_named(name)).nested)


def check_usable(name: str) -> None:
    """Raise MissingExtra if a library that a kind needs is missing."""
    usable(kind_named(name))
