"""What templates read: JSON of ours (manifests, cards), and texts in pieces with their mentions marked."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

_UNSET = object()


class Facts(dict[str, Any]):
    """A table of JSON that may lack keys: what is missing is empty and false, and "–" where it is shown."""

    def __missing__(self, key: str) -> "Facts":
        return Facts()

    def __str__(self) -> str:
        return super().__repr__() if self else "–"


def facts_of(value: Mapping[str, Any]) -> Facts:
    """Return JSON as facts at every level; null counts as missing."""

    def present(table: dict[str, Any]) -> Facts:
        return Facts({key: each for key, each in table.items() if each is not None})

    return Facts(json.loads(json.dumps(value), object_hook=present))


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults."""
    return {name: value for name, value in settings.items() if defaults.get(name, _UNSET) != value}


class Mark(NamedTuple):
    """How a mention is shown: its type, its style classes, and what is told on hovering."""

    label: str
    style: str
    title: str = ""


def pieces_of(
    text: str, marks: Iterable[tuple[int, int, Mark]], begin: int = 0, end: int | None = None
) -> Iterator[tuple[str, Mark | None]]:
    """Yield a text from `begin` to `end` in pieces: each mention with its mark, and what is between them.

    `marks` are sorted; those that overlap or lie outside the text are cut.
    """
    end = len(text) if end is None else end
    for start, stop, mark in marks:
        first, last = max(begin, start), min(end, stop)
        if first < last:
            yield text[begin:first], None
            yield text[first:last], mark
            begin = last
    yield text[begin:end], None
