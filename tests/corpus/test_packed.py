import bz2
import gzip
import io
import lzma
from collections.abc import Callable

import pytest

from nerbert.corpus.packed import DAMAGED, unpacked


@pytest.mark.parametrize("or_text", [True, False])
@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress, lzma.compress])
def test_every_kind_is_told_by_its_bytes(pack: Callable[[bytes], bytes], or_text: bool) -> None:
    stream = io.BufferedReader(io.BytesIO(pack(b"whaler")))
    assert unpacked(stream, or_text=or_text).read() == b"whaler"


def test_a_text_that_begins_like_a_packed_file_is_text_where_text_may_stand() -> None:
    text = b"BZh is no word"
    assert unpacked(io.BufferedReader(io.BytesIO(text))).read() == text
    with pytest.raises((*DAMAGED, OSError)):
        unpacked(io.BufferedReader(io.BytesIO(text)), or_text=False).read()
