"""Annotated sentences of any kind, for round trips."""

from hypothesis import strategies as st

from nerbert.records import Example, Span


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """A text of any characters, words anywhere in it, some of them entities."""
    text = draw(
        st.text(st.characters(exclude_categories=[]) | st.sampled_from(" \n\ud800\udc00\x00\U0001f600"), max_size=30)
    )
    places = draw(st.lists(st.integers(0, len(text)), unique=True, max_size=12).map(sorted))
    words = list(zip(places[::2], places[1::2], strict=False))
    chosen = [word for word in words if draw(st.booleans())]
    spans = tuple(
        Span(start, end, draw(st.text(min_size=1, max_size=5)), text[start:end], draw(st.integers(0, 10_000)) / 10_000)
        for start, end in chosen
    )
    return Example(text, tuple(words), spans)
