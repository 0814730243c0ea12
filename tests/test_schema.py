"""Tests of nerbert.schema: what comes back from disk is held to a type, and errors say file, place, value and bound."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from nerbert.errors import InputError
from nerbert.schema import LARGEST, parse_json, read_json
from tests.raised import raises


@dataclass(frozen=True)
class Part:
    """A small file."""

    name: str
    size: Annotated[int, Field(ge=0, lt=LARGEST)] = 0
    kind: Literal["page", "part"] = "part"
    children: tuple["Part", ...] = ()


def test_a_file_becomes_a_dataclass_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    path.write_text('{"name": "a", "children": [{"name": "b", "size": 2, "newer": 1}]}')
    assert read_json(path, Part) == Part("a", children=(Part("b", 2),))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"size": 1}', "x.json: name is missing"),
        ('{"name": "a", "size": "1"}', "x.json: size = '1': must be a valid integer"),
        ('{"name": "a", "size": true}', "x.json: size = True: must be a valid integer"),
        ('{"name": "a", "size": -1}', "x.json: size = -1: must be greater than or equal to 0"),
        (f'{{"name": "a", "size": {2**63}}}', "x.json: size = 9223372036854775808: must be less than"),
        ('{"name": "a", "kind": "q"}', "x.json: kind = 'q': must be 'page' or 'part'"),
        ('{"name": "a", "children": [{"name": "b"}, {"name": 3}]}', "x.json: children[1].name = 3: must be a valid st"),
        ("[1]", "x.json: [1]: must be "),
        ('{"name":\n\n', "x.json:3: not JSON: "),
        (b"\xff\xfe", "x.json: not JSON in UTF-8"),
        ("[" * 100_000, "x.json:1: not JSON: recursion limit exceeded"),
        ('{"name": ' + "9" * 5000 + "}", "x.json:1: not JSON: number out of range"),
    ],
)
def test_an_error_names_file_place_value_and_what_is_allowed(content: str | bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(content, Part, "x.json", remedy="build the corpus again")
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith("; build the corpus again")


def test_a_long_value_is_cut() -> None:
    with pytest.raises(InputError) as caught:
        parse_json('{"name": ' + str(list(range(1000))) + "}", Part, "x.json")
    assert len(str(caught.value)) < 200


def test_files_that_are_missing_or_too_long_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with raises(InputError, words="x.json: can't be read: No such file"):
        read_json(path, dict[str, Any])
    path.write_text('{"a": 1}')
    assert read_json(path, dict[str, Any]) == {"a": 1}
    with raises(InputError, words="x.json: 8 bytes of JSON are more than the 4 allowed"):
        read_json(path, dict[str, Any], limit=4)
