"""A byte mutator for hypothesis: a valid file, and a few edits that break it as damage, other tools and attacks do."""

import struct
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Edit: TypeAlias = tuple[int, int, int, int]
"""What is done, where (a share of the file, in 2^-16), how long, and with which piece."""
_EDIT = struct.Struct(">BHBH")
"""An edit's bytes. A case is drawn as one string of bytes, of which each part says what is done: draws are dear."""
_HEAD = 3
"""Bytes before the edits: their number, and which files are edited."""

PIECES = (
    b"",
    b"\0",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b" ",
    b'"',
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"<",
    b">",
    b"&",
    b",",
    b":",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x1b[31m",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xcc\x81",
    "👩‍👧".encode(),
    b"\\ud800",
    b"\\u0000",
    b"null",
    b"NaN",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"../../x",
    b"/etc/passwd",
    b"A" * 5000,
    b"true",
    b"{}",
    b"[]",
    b'""',
)
"""What readers stumble over: control characters, half characters, numbers without bounds, depth, paths."""
_OPERATIONS, _LONGEST = 8, 41


def mutated(seeds: Sequence[bytes], words: Sequence[bytes] = (), *, edits: int = 6) -> st.SearchStrategy[bytes]:
    """Return a strategy for one of the valid files with 0 to `edits` edits; `words` are pieces of the file's format."""
    pieces, size = (*words, *PIECES), _HEAD + edits * _EDIT.size
    return st.binary(min_size=size, max_size=size).map(lambda drawn: _file(seeds, pieces, edits, drawn))


def soup(pieces: Sequence[T], most: int) -> st.SearchStrategy[list[T]]:
    """Return a strategy for 0 to `most` pieces, which may repeat."""
    drawn = st.binary(min_size=2 * most, max_size=2 * most).map(struct.Struct(f">{most}H").unpack)
    return st.builds(
        lambda count, numbers: [pieces[number % len(pieces)] for number in numbers[:count]], st.integers(0, most), drawn
    )


def _file(seeds: Sequence[bytes], pieces: Sequence[bytes], edits: int, drawn: bytes) -> bytes:
    count, one, other = drawn[:_HEAD]
    done = drawn[_HEAD : _HEAD + count % (edits + 1) * _EDIT.size]
    return _edited(seeds[one % len(seeds)], seeds[other % len(seeds)], _EDIT.iter_unpack(done), pieces)


def _edited(data: bytes, other: bytes, edits: Iterable[Edit], pieces: Sequence[bytes]) -> bytes:
    for operation, where, size, which in edits:
        start, length, piece = where * (len(data) + 1) >> 16, size % _LONGEST, which % len(pieces)
        end = min(len(data), start + length)
        match operation % _OPERATIONS:
            case 0:
                data = data[:start] + pieces[piece] + data[start:]
            case 1:
                data = data[:start] + pieces[piece] + data[end:]
            case 2:
                data = data[:start] + data[end:]
            case 3:
                data = data[:start] + data[start:end] * 3 + data[end:]
            case 4:
                data = data[:start]
            case 5 if data:
                flipped = data[start - 1] ^ (1 << length % 8)
                data = data[: start - 1] + bytes((flipped,)) + data[start:] if start else data
            case 6:
                cut = where * (len(other) + 1) >> 16
                data = data[:start] + other[cut : cut + length * 8] + data[end:]
            case _:
                data = data[end:] + data[start:end] + data[:start]
    return data
