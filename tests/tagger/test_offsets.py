import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import SettingsError
from nerbert.records import Span
from nerbert.tagger.spans import character_spans, check_offsets, counted_spans


def unit(text: str, place: int, offsets: str) -> int:
    """The place in units of UTF-16 or UTF-8: lone surrogates are one character, and one unit of UTF-16."""
    encoding, size = {"utf-16": ("utf-16-le", 2), "bytes": ("utf-8", 1)}[offsets]
    return len(text[:place].encode(encoding, "surrogatepass")) // size


@pytest.mark.parametrize("offsets", ["utf-16", "bytes"])
@given(text=st.text(st.characters() | st.sampled_from("👩🎻𐍈é€\ud83d"), min_size=1), data=st.data())
def test_places_are_those_of_the_encoding(offsets: str, text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = [Span(a, b, "x", text[a:b], 0.5) for a, b in itertools.pairwise(ends)]
    assert character_spans(text, counted_spans(text, spans, offsets), offsets) == spans
    for span, found in zip(spans, counted_spans(text, spans, offsets), strict=True):
        assert (found.start, found.end) == (unit(text, span.start, offsets), unit(text, span.end, offsets))
        assert (found.text, found.type, found.confidence) == (span.text, "x", 0.5)


def test_other_units_are_refused() -> None:
    with pytest.raises(SettingsError, match="offsets = 'words': must be 'characters', 'utf-16' or 'bytes'"):
        check_offsets("words")
