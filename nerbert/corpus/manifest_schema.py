"""The schema that a corpus's manifest must satisfy: only what its readers use.

Other keys may be missing or contain anything. No value may exceed what all JSON readers support: integers of 64 bits,
and limited nesting.
"""

import re
from collections.abc import Mapping
from typing import Any

from nerbert.errors import InputError

_COUNTS = {str: int}
_SHAPE: dict[Any, Any] = {
    "wiki": str, "language": str, "word_splitter": str,
    "label_set": {"name": str, "sha256": str}, "settings": {"min_mentions": int}, "shards": _COUNTS,
    "mention_sources": _COUNTS,
    "steps": [{"step": str, "in": int, "out": int, "dropped": _COUNTS}],
    "splits": {str: dict.fromkeys(("sentences", "words", "mentions", "copies", "words_with_copies"), int)},
    "categories": {str: {"mentions": int, "with_copies": int}},
    "knowledge": {"passed_over": [{"path": str}]},
}  # fmt: skip
"""A type, a list of one shape, a table from any name (`str`) to one shape, or a table with at least these keys."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST, _DEEPEST = 1 << 63, 32
_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raise InputError that names the first key that is missing, of the wrong type or too large."""
    _check_sizes("", manifest, _DEEPEST)
    _check("", manifest, _SHAPE)
    _check_hashes(manifest.get("shard_sha256", {}))


def _check_hashes(hashes: Any) -> None:
    """Raise InputError for anything but a table of SHA-256; manifests of older builds have none."""
    _check("shard_sha256", hashes, {str: str})
    for name, digest in hashes.items():
        if not _SHA256.fullmatch(digest):
            raise InputError(f"shard_sha256.{name} = {digest!r:.80}: must be 64 hex digits; build the corpus again")


def _check_sizes(name: str, value: Any, deeper: int) -> None:
    """Raise InputError for numbers and nesting, under any key, that arithmetic and writers cannot handle."""
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise InputError(f"{name:.200} = {value!r:.30}: must be a whole number of 64 bits; build the corpus again")
    if not isinstance(value, list | dict):
        return
    if not deeper:
        raise InputError(f"{name:.200}: more than {_DEEPEST} tables in one another; build the corpus again")
    if isinstance(value, dict):
        for key, each in value.items():
            _check_sizes(_inside(name, key), each, deeper - 1)
    else:
        for place, each in enumerate(value):
            _check_sizes(f"{name}[{place}]", each, deeper - 1)


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
