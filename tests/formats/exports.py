"""What the tests of annotation tools' formats share: documents to write, hostile values, and reading with repairs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.json_files import JsonFormat
from nerbert.records import Document, Repairs, Span

_WORDS = st.text(st.sampled_from("aé😀‍中.-\\n"), min_size=1, max_size=3)
_LEAVES = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3)


@st.composite
def documents(draw: st.DrawFn, *, with_words: bool = False) -> Document:
    """A text of words with spaces and lines' ends between them, some marked, by a person or by a model."""
    words, text = list[tuple[int, int]](), ""
    for word in draw(st.lists(_WORDS, min_size=1, max_size=6)):
        words.append((len(text), len(text) + len(word)))
        text += word + draw(st.sampled_from([" ", "\n", "  "]))
    tagged = draw(st.booleans())
    spans, place = list[Span](), 0
    while place < len(words):
        last = draw(st.integers(place, len(words) - 1))
        if draw(st.booleans()):
            (start, _), (_, end) = words[place], words[last]
            confidence = draw(st.integers(0, 10_000)) / 10_000 if tagged else 1.0
            spans.append(Span(start, end, draw(st.sampled_from(["PER", "Ort"])), text[start:end], confidence))
        place = last + 1
    fields = draw(
        st.dictionaries(st.sampled_from(["id", "source", "meta"]), st.integers(0, 9) | st.just("é"), max_size=2)
    )
    known = tuple(words) if with_words and draw(st.booleans()) else None
    return Document(text, tuple(spans), known, fields={**fields, "title": "x"}, tagged=tagged)


def values_with(*names: str) -> st.SearchStrategy[Any]:
    """Any JSON whose objects have these keys, and often values that look right."""
    good = st.sampled_from(["accept", "labels", "relation", "text", "submitted", "discarded", 0, 1, [], {}])
    keys = st.sampled_from(names)
    return st.recursive(
        _LEAVES | good,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=25,
    )


def is_read_or_refused(format_: JsonFormat, value: Any) -> bool:
    """Return whether a value is of the format; reading it gives documents or an InputError, nothing else."""
    matches = format_.matches(value)
    if matches:
        try:
            for document in format_.documents(value, Repairs()):
                assert isinstance(document.text, str)
                assert all(isinstance(each.type, str) and isinstance(each.text, str) for each in document.spans)
                assert isinstance(document.tagged, bool)
        except InputError:
            pass
    return matches


def read(format_: JsonFormat, path: Path, *values: Any) -> tuple[list[Document], Repairs]:
    """What the format reads of a file of these values (an array), or of the file that is there."""
    if values:
        path.write_text(json.dumps(values, indent=1))
    assert format_.recognise(path, path.read_bytes()[: 1 << 20])
    repairs = Repairs()
    return [replace(each, line=0) for each in format_.read(path, repairs)], +repairs


def marked(document: Document) -> list[tuple[str, str]]:
    """The text that each span has in characters, and its type."""
    return [(document.text[each.start : each.end], each.type) for each in document.spans]


def with_surfaces(document: Document, *, fill: bool) -> Document:
    """The document, its spans with their texts, or without."""
    spans = tuple(replace(each, text=document.text[each.start : each.end] if fill else "") for each in document.spans)
    return replace(document, spans=spans)
