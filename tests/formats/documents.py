"""Documents as `Format.write` gets them, made by hypothesis."""

from itertools import accumulate, pairwise

from hypothesis import strategies as st

from nerbert.records import Document, Span

TYPES = st.sampled_from(["person", "PER", "B-x", "a type", "type-é", "O"])
PIECES = st.sampled_from(["Ada", "New", "York", "é", "東", "😀", ".", "-", "x1", "don't", "ß"])
GAPS = st.sampled_from([" ", " ", "", "  ", "\n", " \n ", "\t", "\u00a0"])


@st.composite
def documents(draw: st.DrawFn, *, words: bool = False, gaps: st.SearchStrategy[str] = GAPS) -> Document:
    """Return a document of pieces, whose spans begin and end with one, don't overlap, and have their text."""
    pieces = draw(st.lists(PIECES, max_size=8))
    parts = [part for piece in pieces for part in (piece, draw(gaps))][:-1]
    ends = list(accumulate(map(len, parts), initial=0))
    places = list(pairwise(ends))[::2]
    text, spans, place = "".join(parts), list[Span](), 0
    while place < len(places):
        last = draw(st.integers(place, len(places) - 1))
        if type_ := draw(st.none() | TYPES):
            start, end = places[place][0], places[last][1]
            spans.append(Span(start, end, type_, text[start:end]))
        place = last + 1
    return Document(text, tuple(spans), tuple(places) if words else None)
