"""JSON that is almost right: values of a valid file replaced, moved, repeated or left out at any path."""

import copy
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

_TWICE = "\uf8ff"
"""Marks a repeated key until it is written: a dictionary has none."""
DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, -0.0, 0.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, -(2**63), 2**64, 10**400,
    "",
    " ", "x", "\n", "\0", "\x1b[31m", "\u2028", "\u202e", "\ud83d", "\udc00", "e\u0301", "😀", "B-x", "I-x", "O", "0",
    "null", "a" * 300, [], {}, [None], [[]], [{}], {"": None}, {"start": 0, "end": 1, "label": "x"}, [0, 1, "x"], DEEP,
    {"a": DEEP}, ["a", "b"], [1, 2], "submitted", "accept", "reject", "labels", "\ufeff", "\u00a0", "/etc/passwd",
)  # fmt: skip
"""What takes a value's place."""
_CHANGE = struct.Struct(">BHB")
"""A change's bytes: what is done, where (a share of all places, in 2^-16), and with which value."""
_HEAD = 6
"""Bytes before the changes: the form of the file, the numbers of changes and of values, and which values."""
_OPERATIONS, _FORMS = 8, 6


def mutated_json(seeds: Sequence[Any], *, changes: int = 4) -> st.SearchStrategy[bytes]:
    """Return a strategy for files of one to three of the values, with 0 to `changes` changes, in any form of a file."""
    size = _HEAD + changes * _CHANGE.size
    return st.binary(min_size=size, max_size=size).map(lambda drawn: _file(seeds, changes, drawn))


def _file(seeds: Sequence[Any], changes: int, drawn: bytes) -> bytes:
    form, count, more, *chosen = drawn[:_HEAD]
    whole = [copy.deepcopy([seeds[each % len(seeds)] for each in chosen[: 1 + more % len(chosen)]])]
    done = drawn[_HEAD : _HEAD + count % (changes + 1) * _CHANGE.size]
    for operation, where, which in _CHANGE.iter_unpack(done):
        _change(whole, operation % _OPERATIONS, where, which % len(VALUES))
    rows = whole[0] if isinstance(whole[0], list) else whole
    match form % _FORMS:
        case 0:
            return _dumped(rows)
        case 1:
            return _dumped(rows, indent=1)
        case 2:
            return _dumped(rows[0] if rows else None, indent=1)
        case 3:
            return b"\xef\xbb\xbf" + b"\r\n".join(map(_dumped, rows))
        case 4:
            return b"\n".join(_dumped(each, ensure_ascii=False) for each in rows)
        case _:
            return b"\n\n".join(map(_dumped, rows)) + b"\n"


def _dumped(value: Any, **how: Any) -> bytes:
    text = json.dumps(value, **how)
    return text.replace(json.dumps(_TWICE)[1:-1], "").replace(_TWICE, "").encode("utf-8", "replace")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container and key in a value, as deep as files are."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            yield one, key
            if isinstance(one[key], dict | list) and depth < 12:
                waiting.append((one[key], depth + 1))


def _change(whole: list[Any], operation: int, where: int, which: int) -> None:
    places = list(_places(whole))
    container, key = places[where * len(places) >> 16]
    value = VALUES[which]
    match operation:
        case 0 | 1:
            container[key] = copy.deepcopy(value)
        case 2 if isinstance(container[key], int | float):
            container[key] += which - len(VALUES) // 2
        case 3 if isinstance(container, dict):
            container[f"{key}{_TWICE}"] = copy.deepcopy(value)
        case 4:
            other, other_key = places[which * len(places) // len(VALUES)]
            container[key] = copy.deepcopy(other[other_key])
        case 5 if isinstance(container[key], str):
            cut = where % (len(container[key]) + 1)
            container[key] = f"{container[key][:cut]}{value if isinstance(value, str) else '😀'}{container[key][cut:]}"
        case 6 if isinstance(container, list):
            container.insert(key, copy.deepcopy(value))
        case _ if container is not whole:
            del container[key]
