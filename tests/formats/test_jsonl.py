from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.jsonl import json_object, object_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_any_object_comes_back(fields: dict[str, Any]) -> None:
    line = object_line(fields)
    assert json_object(line.decode()) == fields
    assert line.endswith(b"\n")
    assert not set(line.decode()[:-1]) & set("\n\r\x1b\x7f\x85\x9b\u2028\u2029")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON: "),
        ("[" * 100_000, "not JSON that can be read"),
        ('[{"text": "a"}]', "one JSON array, not JSON lines"),
        ('"a"', "not a JSON object"),
    ],
)
def test_other_lines_are_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        json_object(text)


def test_too_deep_to_write() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="not JSON that can be written: too deep"):
        object_line({"x": deep})
    while deep:
        deep = deep.pop()
