"""The machines see what they are made to see."""

from functools import partial

import pytest

from nerbert.errors import InputError
from nerbert.records import Document, Span
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer, calls_of, check_documents, exponent, peak_of

pytestmark = pytest.mark.fuzz


def test_it_breaks_a_file_in_many_ways_and_finds_the_smallest(fuzz: Fuzz) -> None:
    seen = set[bytes]()
    fuzz(mutated([b'{"a": 1}', b"[2]"]), seen.add)
    assert len(seen) > 15
    assert {b'{"a": 1}', b"[2]"} < seen


def test_a_fault_is_told(fuzz: Fuzz) -> None:
    def check(case: bytes) -> None:
        assert b"\0" not in case

    with pytest.raises(AssertionError):
        fuzz(mutated([b"abc"], [b"\0"]), check, found=[b"\0"])


def refuse(message: str) -> None:
    raise InputError(message)


def test_only_errors_meant_for_people_are_answers() -> None:
    assert answer(lambda: refuse("a \x1b[31m\nline")) is None
    with pytest.raises(KeyError):
        answer(lambda: dict[str, int]()["x"])
    with pytest.raises(AssertionError):
        check_documents([Document("Ada", (Span(0, 2, "x", "Ada"),))])


def call(times: int) -> None:
    for _ in range(times):
        len("")


def test_growth_is_measured() -> None:
    sizes = [50, 100, 200, 400]
    linear = [calls_of(partial(call, size)) for size in sizes]
    square = [calls_of(partial(call, size * size)) for size in sizes]
    assert 0.8 < exponent(sizes, linear) < 1.2
    assert 1.8 < exponent(sizes, square) < 2.2
    assert peak_of(lambda: bytes(100_000)) > 100_000
