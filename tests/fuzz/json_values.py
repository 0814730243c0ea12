"""A mutator of JSON for hypothesis: a valid value, and hostile ones at any place in it."""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from hypothesis import strategies as st

JsonEdit: TypeAlias = tuple[int, tuple[int, ...], int, int]
"""What is done, the way down (a number at each level), a value's number, a key's or a piece's."""


def _nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 1000, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), -float("inf"), "", " ", "x", "0", "O", "B-x", "A" * 5000, "👩‍👧", "\ud800",
    "\0", "\x1b[31m", "a\nb", "../../x", "/etc/passwd", "~", "os:system", "pathlib:Path",
    "json.decoder:JSONDecoder", "someone/code", "someone/code--modeling.Model", "owner/kernel:layer",
    "https://localhost:9/x", [], {}, [None], [[]], {"": None}, {"a": {}}, [0, 0], ["O"], ["O", "B-x", "I-x"],
    list(range(70)), {"0": "O"}, {"-1": "O"}, _nested(60), _nested(900),
)  # fmt: skip
"""What readers of values stumble over: other kinds, bounds, depth, control characters, paths, names of code."""
PIECES = (
    "\0", "\n", "\r\n", "\t", "\ud800", "\x1b[31m", "\u202e", "\u2028", "\xad", "e\u0301", "👩‍👧", "𝔸", "<",
    ">", "&", "&#0;", "]]>", "<!DOCTYPE x [<!ENTITY a 'b'>]>", "{{ x }}", "{", "$x", '"', "'", "\\", "/", "..",
    "%2e", ",", ":", "=", "A" * 500, "- " * 300, " ", "",
)  # fmt: skip
"""What readers of texts stumble over."""
_OPERATIONS = 9


def json_mutated(
    seeds: Sequence[Any], keys: Sequence[str] = (), values: Sequence[Any] = (), *, edits: int = 4
) -> st.SearchStrategy[Any]:
    """Return a strategy for one of the values with 1 to `edits` edits; `keys` and `values` are the format's own."""
    names, found = (*keys, "", "x", "\ud800", "__class__", "../x"), (*values, *VALUES)
    edit = st.tuples(
        st.integers(0, _OPERATIONS - 1), st.lists(st.integers(0, 999), max_size=5).map(tuple),
        st.integers(0, len(found) - 1), st.integers(0, len(names) + len(PIECES) - 1),
    )  # fmt: skip
    return st.builds(
        lambda seed, done: _edited(deepcopy(seed), done, found, names),
        st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=edits),
    )  # fmt: skip


def json_files(
    seeds: Sequence[bytes], keys: Sequence[str] = (), values: Sequence[Any] = ()
) -> st.SearchStrategy[bytes]:
    """Return a strategy for the files of such values, most of which are JSON."""
    return json_mutated([json.loads(each) for each in seeds], keys, values).map(dumped)


def dumped(value: object) -> bytes:
    """Return a value as JSON; half characters are escaped, NaN is written as Python does."""
    return json.dumps(value).encode()


def _edited(value: Any, edits: Sequence[JsonEdit], values: Sequence[Any], names: Sequence[str]) -> Any:
    root = [value]
    for operation, way, number, name in edits:
        parent, key = _place(root, way)
        here = parent[key]
        match operation:
            case 0 | 1:
                parent[key] = deepcopy(values[number])
            case 2 if parent is not root:
                del parent[key]
            case 3 if isinstance(here, dict):
                here[names[name % len(names)]] = deepcopy(values[number])
            case 4 if isinstance(here, list) and here:
                here.insert(number % len(here), deepcopy(here[number % len(here)]))
            case 5 if isinstance(parent, dict):
                parent[names[name % len(names)]] = parent.pop(key)
            case 6:
                other, its = _place(root, (*way[::-1], number))
                parent[key] = deepcopy(other[its])
            case 7 | 8 if isinstance(here, str):
                start, end = sorted(((way or (0,))[-1] % (len(here) + 1), number % (len(here) + 1)))
                parent[key] = here[:start] + PIECES[name % len(PIECES)] + here[end if operation == 8 else start :]
            case _:
                parent[key] = deepcopy(values[number])
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
