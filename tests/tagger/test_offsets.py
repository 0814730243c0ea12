import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import SettingsError
from nerbert.records import Span
from nerbert.tagger.spans import character_spans, check_offsets, utf16_spans


def unit(text: str, place: int) -> int:
    """The place as UTF-16 counts it: lone surrogates are one unit, as they are one character."""
    return len(text[:place].encode("utf-16-le", "surrogatepass")) // 2


@given(st.text(st.characters() | st.sampled_from("👩🎻𐍈é\ud83d"), min_size=1), st.data())
def test_places_are_those_of_utf_16(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = [Span(a, b, "x", text[a:b], 0.5) for a, b in itertools.pairwise(ends)]
    assert character_spans(text, utf16_spans(text, spans)) == spans
    for span, found in zip(spans, utf16_spans(text, spans), strict=True):
        assert (found.start, found.end) == (unit(text, span.start), unit(text, span.end))
        assert (found.text, found.type, found.confidence) == (span.text, "x", 0.5)


def test_other_units_are_refused() -> None:
    with pytest.raises(SettingsError, match="offsets = 'bytes': must be 'characters' or 'utf-16'"):
        check_offsets("bytes")
