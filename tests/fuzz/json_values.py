"""A mutator of JSON for hypothesis: a valid value, and hostile ones at any place in it."""

import json
import struct
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from hypothesis import strategies as st

JsonEdit: TypeAlias = tuple[int, bytes, int, int]
"""What is done, the way down (a number at each level), a value's number, a key's or a piece's."""
_EDIT = struct.Struct(">B5sBB")
"""An edit's bytes. A case is drawn as one string of bytes, of which each part says what is done: draws are dear."""
_OPERATIONS, _FORMS, _MOST = 11, 6, 4
_HEAD = 5
"""Bytes before the edits of rows: the form of the file, the numbers of rows and of edits, and which rows."""
_NAMES = ("", "x", "\ud800", "__class__", "../x")
_TWICE = "\uf8ff"
"""Marks a repeated key until it is written: a dictionary has none."""


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    7,
    1000,
    2**31,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    " ",
    "x",
    "0",
    "O",
    "B-x",
    "I-x",
    "A" * 5000,
    "👩‍👧",
    "\ud800",
    "\0",
    "\x1b[31m",
    "a\nb",
    "\u2028",
    "\ufeff",
    "../../x",
    "/etc/passwd",
    "~",
    "os:system",
    "pathlib:Path",
    "json.decoder:JSONDecoder",
    "someone/code",
    "someone/code--modeling.Model",
    "owner/kernel:layer",
    "https://localhost:9/x",
    "submitted",
    "accept",
    "reject",
    "labels",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": None},
    {"a": {}},
    [0, 0],
    [0, 1, "x"],
    ["a", "b"],
    ["O"],
    ["O", "B-x", "I-x"],
    {"start": 0, "end": 1, "label": "x"},
    list(range(70)),
    {"0": "O"},
    {"-1": "O"},
    _nested(60),
    {"a": _nested(200)},
    _nested(900),
)
"""What readers of values stumble over: other kinds, bounds, depth, control characters, paths, names of code."""
PIECES = (
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\ud800",
    "\x1b[31m",
    "\u202e",
    "\u2028",
    "\xad",
    "e\u0301",
    "👩‍👧",
    "𝔸",
    "<",
    ">",
    "&",
    "&#0;",
    "]]>",
    "<!DOCTYPE x [<!ENTITY a 'b'>]>",
    "{{ x }}",
    "{",
    "$x",
    '"',
    "'",
    "\\",
    "/",
    "..",
    "%2e",
    ",",
    ":",
    "=",
    "A" * 500,
    "- " * 300,
    " ",
    "",
)
"""What readers of texts stumble over."""


def json_mutated(
    seeds: Sequence[Any], keys: Sequence[str] = (), values: Sequence[Any] = (), *, edits: int = _MOST
) -> st.SearchStrategy[Any]:
    """Return a strategy for one of the values with 1 to `edits` edits; `keys` and `values` are the format's own."""
    names, hostile = (*keys, *_NAMES), (*values, *VALUES)
    size = 2 + edits * _EDIT.size

    def made(drawn: bytes) -> Any:
        done = drawn[2 : 2 + (1 + drawn[0] % edits) * _EDIT.size]
        return _edited(deepcopy(seeds[drawn[1] % len(seeds)]), _EDIT.iter_unpack(done), hostile, names)

    return st.binary(min_size=size, max_size=size).map(made)


def json_files(
    seeds: Sequence[bytes], keys: Sequence[str] = (), values: Sequence[Any] = ()
) -> st.SearchStrategy[bytes]:
    """Return a strategy for the files of such values, most of which are JSON."""
    return json_mutated([json.loads(seed) for seed in seeds], keys, values).map(dumped)


def json_rows(seeds: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Return a strategy for files of one to three of the values, valid or edited, in any form of a file."""
    size = _HEAD + _MOST * _EDIT.size

    def made(drawn: bytes) -> bytes:
        form, count, *chosen = drawn[:_HEAD]
        rows = [deepcopy(seeds[number % len(seeds)]) for number in chosen[: 1 + count % len(chosen)]]
        done = drawn[_HEAD : _HEAD + (count >> 2) % (_MOST + 1) * _EDIT.size]
        return _file(_edited(rows, _EDIT.iter_unpack(done), VALUES, _NAMES), form % _FORMS)

    return st.binary(min_size=size, max_size=size).map(made)


def dumped(value: object, **how: Any) -> bytes:
    """Return a value as JSON; half characters are escaped, NaN is written as Python does, a key may come twice."""
    text = json.dumps(value, **how)
    return text.replace(json.dumps(_TWICE)[1:-1], "").replace(_TWICE, "").encode("utf-8", "replace")


def _file(value: Any, form: int) -> bytes:
    rows = value if isinstance(value, list) else [value]
    match form:
        case 0:
            return dumped(rows)
        case 1:
            return dumped(rows, indent=1)
        case 2:
            return dumped(rows[0] if rows else None, indent=1)
        case 3:
            return b"\xef\xbb\xbf" + b"\r\n".join(map(dumped, rows))
        case 4:
            return b"\n".join(dumped(row, ensure_ascii=False) for row in rows)
        case _:
            return b"\n\n".join(map(dumped, rows)) + b"\n"


def _edited(value: Any, edits: Any, values: Sequence[Any], names: Sequence[str]) -> Any:
    root = [value]
    for operation, steps, number, name in edits:
        way = steps[: steps[-1] % (len(steps) + 1)]
        parent, key = _place(root, way)
        here, key_of = parent[key], names[name % len(names)]
        new = deepcopy(values[number % len(values)])
        match operation % _OPERATIONS:
            case 2 if parent is not root:
                del parent[key]
            case 3 if isinstance(here, dict):
                here[key_of] = new
            case 4 if isinstance(here, list):
                here.insert(number % (len(here) + 1), deepcopy(here[number % len(here)]) if here and name % 2 else new)
            case 5 if isinstance(parent, dict):
                parent[key_of] = parent.pop(key)
            case 6:
                other, its = _place(root, (*way[::-1], number))
                parent[key] = deepcopy(other[its])
            case 7 | 8 if isinstance(here, str):
                start, end = sorted((steps[0] % (len(here) + 1), number % (len(here) + 1)))
                stays = here[end if operation % 2 else start :]
                parent[key] = here[:start] + PIECES[name % len(PIECES)] + stays
            case 9 if isinstance(here, int | float):
                parent[key] = here + number - 128
            case 10 if isinstance(parent, dict):
                parent[f"{key}{_TWICE}"] = new
            case _:
                parent[key] = new
    return root[0]


def _place(root: list[Any], way: Sequence[int]) -> tuple[Any, Any]:
    """Return a container and the key in it that a way leads to."""
    parent: Any = root
    key: Any = 0
    for step in way:
        here = parent[key]
        if not isinstance(here, dict | list) or not here:
            break
        parent, key = here, [*here][step % len(here)] if isinstance(here, dict) else step % len(here)
    return parent, key
