import gzip
import io
from typing import IO, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.lines import decode_line, read_lines
from tests.raised import raises


class Drops(io.RawIOBase):
    """A pipe that brings a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._data, self._size = data, size

    def read1(self, _: int) -> bytes:
        """The next bytes."""
        some, self._data = self._data[: self._size], self._data[self._size :]
        return some


def lines_of(stream: Any) -> list[tuple[int, str]]:
    """The number and text of each line."""
    return [(line.number, line.text) for line in read_lines(stream, "x")]


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"", b"bc" * 5])).map(b"".join), st.integers(1, 9))
def test_lines_are_those_of_python_whatever_comes_at_a_time(data: bytes, size: int) -> None:
    expected = list(enumerate((line.decode().rstrip("\r\n") for line in io.BytesIO(data)), 1))
    for stream in (Drops(data, size), io.BytesIO(data), io.BufferedReader(io.BytesIO(data), 8)):
        assert lines_of(stream) == expected
    with gzip.open(io.BytesIO(gzip.compress(data))) as packed:
        assert lines_of(packed) == expected


def test_a_line_is_given_before_more_is_read() -> None:
    drops = Drops(b"a\nb\nc\nd", 3)
    lines = read_lines(cast("IO[bytes]", drops), "x")
    assert (next(lines).text, drops.read1(9)) == ("a", b"\nc\n")


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.formats.lines.LONGEST_LINE", 100_000)
    assert lines_of(io.BytesIO(b"x" * 100_000))
    with raises(InputError, "a line of more than 100000 bytes is no text; split it into lines", path="x", line=1):
        lines_of(io.BytesIO(b"x" * 200_000))


def test_decoding() -> None:
    assert decode_line("\ufeffä".encode(), 1) == "ä"
    assert decode_line("\ufeffä".encode(), 2) == "\ufeffä"
    assert decode_line(b"a\xff\xc3", 1, "replace") == "a\ufffd\ufffd"
    with raises(InputError, "not UTF-8 at byte 1 of the line; convert"):
        decode_line(b"a\xff", 1, "strict")
    with raises(InputError, "not UTF-8 at byte 0"):
        decode_line(b"\xed\xa0\x80", 1)  # half a character, which UTF-8 never holds
