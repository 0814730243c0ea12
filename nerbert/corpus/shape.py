"""The shape that a corpus's manifest must have to be read: what its readers use, and no more."""

from collections.abc import Mapping
from typing import Any

from nerbert.errors import InputError

_COUNTS = {str: int}
_SHAPE: dict[Any, Any] = {
    "wiki": str, "language": str, "word_splitter": str,
    "label_set": {"name": str}, "settings": {"min_mentions": int}, "shards": _COUNTS, "mention_sources": _COUNTS,
    "steps": [{"step": str, "in": int, "out": int, "dropped": _COUNTS}],
    "splits": {str: dict.fromkeys(("sentences", "words", "mentions", "copies", "words_with_copies"), int)},
    "categories": {str: {"mentions": int, "with_copies": int}},
    "knowledge": {"passed_over": [{"path": str}]},
}  # fmt: skip
"""A kind, a list of one shape, a table from any name (`str`) to one shape, or a table with these keys at least."""
_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raise InputError that names the first key which is missing or of the wrong kind."""
    _check("", manifest, _SHAPE)


def _check(name: str, value: Any, shape: Any) -> None:
    kind: Any = shape if isinstance(shape, type) else type(shape)
    if type(value) is not kind:
        raise InputError(f"{name} = {value!r:.60}: must be {_KINDS[kind]}; build the corpus again")
    if kind is list:
        for place, each in enumerate(value):
            _check(f"{name}[{place}]", each, shape[0])
    elif kind is dict:
        for key, inner in (dict.fromkeys(value, shape[str]) if str in shape else shape).items():
            if key not in value:
                raise InputError(f"{_inside(name, key)} is missing; build the corpus again")
            _check(_inside(name, key), value[key], inner)


def _inside(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
