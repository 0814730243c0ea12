import bz2
import hashlib
import io

import pytest

from nerbert.corpus.dump.streams import BlockReader, Streams
from nerbert.errors import InputError


def read(data: bytes, start: int, stop: int) -> tuple[bytes, bytes, Streams]:
    """What the streams between hold, what those behind hold, and the streams."""
    raw = io.BytesIO(data)
    raw.seek(start)
    streams = Streams(BlockReader(raw, "dump", start, stop, len(data)))
    pieces = list(streams.pieces())
    return b"".join(piece for piece, own in pieces if own), b"".join(piece for piece, own in pieces if not own), streams


def test_streams_are_found_where_they_begin() -> None:
    packed = [bz2.compress(text) for text in (b"one", b"", b"two", b"three" * 100_000)]
    data, places = b"".join(packed), [0]
    for each in packed:
        places.append(places[-1] + len(each))
    own, behind, streams = read(data, 0, len(data))
    assert (own, behind) == (b"onetwo" + b"three" * 100_000, b"")
    assert (streams.heads, streams.end) == (places[:-1], len(data))
    own, behind, streams = read(data, 1, places[2] + 1)
    assert (own, behind) == (b"two", b"three" * 100_000)
    assert (streams.heads, streams.end) == (places[1:3], places[3])
    own, behind, streams = read(data, places[3] + 1, len(data))
    assert (own, behind, streams.heads, streams.end) == (b"", b"", [], None)


class Slow(io.BytesIO):
    """Gives a few bytes at a time, as a net may."""

    few = 1

    def read(self, length: int | None = -1, /) -> bytes:
        return super().read(min(self.few, length or 0))


@pytest.mark.parametrize("few", [1, 2, 9, 10, 11, 13])
def test_a_head_across_two_blocks_is_found(few: int) -> None:
    data = bz2.compress(b"one" * 50) + bz2.compress(b"two")
    raw = Slow(data)
    raw.few = few
    raw.seek(3)
    streams = Streams(BlockReader(raw, "dump", 3, len(data), len(data)))
    assert b"".join(piece for piece, _ in streams.pieces()) == b"two"


def test_a_reader_hashes_its_own_part_only() -> None:
    data = bytes(range(256)) * 4000
    raw = io.BytesIO(data)
    raw.seek(1000)
    reader = BlockReader(raw, "dump", 1000, 500_000, len(data))
    reader.read(10)
    assert reader.digest() == hashlib.sha256(data[1000:500_000]).hexdigest()
    while reader.read():
        pass
    assert reader.digest() == hashlib.sha256(data[1000:500_000]).hexdigest()
    short = BlockReader(io.BytesIO(data), "dump", 0, len(data) + 1, len(data) + 1)
    with pytest.raises(InputError, match="dump: ends at byte 1024000 of 1024001"):
        short.digest()
