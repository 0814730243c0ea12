"""An entity never cuts what a reader takes for one character."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nerbert.formats.conll import Conll
from nerbert.formats.format import WritingRows
from nerbert.records import Document, Example
from nerbert.tagger.pending import PendingText
from nerbert.tagger.spans import Graphemes
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

ATOMS = (
    "a", "Z", "7", ".", "-", "é", "e\u0301", "q\u0323\u0307", "ж", "и\u0306", "漢", "か\u3099", "ｶﾞ",
    "각", "\u1100\u1161\u11a8", "🇩🇪", "🇯🇵", "👨‍👩‍👧", "👩🏽‍🚀",
    "1️⃣", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🎻", "ก็", "„", "”", " ", "\u00a0", "\n", "\t",
)  # fmt: skip
"""Single graphemes that stay single beside one another."""
texts = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=12)


@given(texts, st.data())
def test_a_span_grows_to_the_graphemes_that_it_touches(atoms: list[str], data: st.DataObject) -> None:
    text = "".join(atoms)
    ends = [0, *itertools.accumulate(map(len, atoms))]
    graphemes = Graphemes(text)
    for _ in range(3):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        assert graphemes.grow(start, end) == (max(x for x in ends if x <= start), min(x for x in ends if x >= end))


@given(texts, st.data())
def test_entities_of_words_are_whole_graphemes_and_apart(atoms: list[str], data: st.DataObject) -> None:
    text = "".join(atoms)
    ends = {0, *itertools.accumulate(map(len, atoms))}
    opened = PendingText(text)
    words = [word for word in split_words(text) if data.draw(st.booleans())]
    for start, end in words:
        opened.add(start, end, "x", 0.5)
    for span in opened.spans:
        assert {span.start, span.end} <= ends
        assert text[span.start : span.end] == span.text
    assert all(a.end <= b.start for a, b in itertools.pairwise(opened.spans))
    covered = {place for span in opened.spans for place in range(span.start, span.end)}
    assert all(covered.issuperset(range(*word)) for word in words)


def test_a_mark_after_white_space_takes_no_space() -> None:
    assert Graphemes("a \u0301b").grow(2, 4) == (2, 4)
    assert Graphemes("\u0600 b").grow(0, 1) == (0, 1)


def test_nested_entities_stay_nested_and_others_apart() -> None:
    flag, other = "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"
    opened = PendingText(f"a {flag} b {other}")
    for start, end in ((0, 3), (2, 3), (3, 8), (5, 6), (6, 7), (7, 8), (8, 9)):
        opened.add(start, end, "x", 0.5)
    assert [(each.start, each.end) for each in opened.spans] == [(0, 4), (2, 4), (4, 9), (5, 6), (6, 7), (7, 9)]


def test_a_long_stretch_is_cut_once() -> None:
    """Millions of characters without a space, as Chinese has them, cost one pass, not one for each entity."""
    text = "漢" * 300_000
    graphemes = Graphemes(text)
    assert all(graphemes.grow(place, place + 1) == (place, place + 1) for place in range(1, len(text) - 1))


@given(texts, st.data())
def test_conll_holds_every_entity(tagger: Tagger, atoms: list[str], data: st.DataObject) -> None:
    text = "".join(atoms)
    opened = PendingText(text)
    for offset, sentence in tagger.sentences(text):
        for start, end in sentence.words:
            if data.draw(st.booleans()):
                opened.add(offset + start, offset + end, tagger.types[0], 0.5)
    write = Conll().writer(WritingRows(tagger.sentences, tagger.types))
    lines = write(Document(text, tuple(opened.spans)))
    assert lines.count(b"\tB-") == len(opened.spans)


def test_taggers_spans_grow(tagger: Tagger) -> None:
    """Whatever the model says, spans of given words are whole graphemes."""
    text = "🇩🇪🇯🇵👨‍👩‍👧 Brandt 🇩🇪"
    words = split_words(text)
    for span in [*tagger.tag(text), *next(tagger.tag_many([Example(text, words)]))]:
        assert Graphemes(text).grow(span.start, span.end) == (span.start, span.end)
