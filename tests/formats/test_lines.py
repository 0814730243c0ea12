import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.lines import decoded, lines_at_hand


class Drops(io.RawIOBase):
    """A pipe that brings a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._data, self._size = data, size

    def read1(self, _: int) -> bytes:
        """The next bytes."""
        some, self._data = self._data[: self._size], self._data[self._size :]
        return some


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"", b"bc" * 5])).map(b"".join), st.integers(1, 9))
def test_lines_are_those_of_python_whatever_comes_at_a_time(data: bytes, size: int) -> None:
    expected = [line.removesuffix(b"\n") for line in io.BytesIO(data)]
    for stream in (Drops(data, size), io.BytesIO(data), io.BufferedReader(io.BytesIO(data), 8)):
        assert [line for lines in lines_at_hand(stream) for line in lines] == expected  # type: ignore[arg-type]
    with gzip.open(io.BytesIO(gzip.compress(data))) as packed:
        assert [line for lines in lines_at_hand(packed) for line in lines] == expected  # type: ignore[arg-type]


def test_what_is_at_hand_is_given_at_once() -> None:
    assert list(lines_at_hand(Drops(b"a\nb\nc\nd", 3))) == [[b"a"], [b"b", b"c"], [b"d"]]  # type: ignore[arg-type]
    assert list(lines_at_hand(Drops(b"a\nb\nc\nd", 4))) == [[b"a", b"b"], [b"c"], [b"d"]]  # type: ignore[arg-type]


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.formats.lines.LONGEST_LINE", 100_000)
    assert list(lines_at_hand(io.BytesIO(b"x" * 100_000)))
    with pytest.raises(InputError, match="a line of more than 100000 bytes is no text; break it into lines"):
        list(lines_at_hand(io.BytesIO(b"x" * 200_000)))


def test_decoding() -> None:
    assert decoded("\ufeffä".encode(), 1) == "ä"
    assert decoded("\ufeffä".encode(), 2) == "\ufeffä"
    assert decoded(b"a\xff\xc3", 1, "replace") == "a\ufffd\ufffd"
    with pytest.raises(InputError, match=r"not UTF-8 at byte 1 of the line; convert .* \(or pass --errors replace\)"):
        decoded(b"a\xff", 1, "strict")
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        decoded(b"\xed\xa0\x80", 1)  # half a character, which UTF-8 never holds
