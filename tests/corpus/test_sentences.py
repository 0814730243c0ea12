from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.corpus.dump import Dump
from nerbert.corpus.sentences import sentence_spans
from nerbert.corpus.wikitext import clean_page
from nerbert.records import Link
from nerbert.words import split_words


def split(text: str, *anchors: str, language: str = "en") -> list[str]:
    links = [Link(text.index(anchor), text.index(anchor) + len(anchor), "X") for anchor in anchors]
    return [text[start:end] for start, end in sentence_spans(text, links, language)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. J. Smith met St. Paul. He left.", ["Dr. J. Smith met St. Paul.", "He left."]),
        ("It is 5.5 m high. The U.S. Army came.", ["It is 5.5 m high.", "The U.S. Army came."]),
        ("He asked: why? She left! So.", ["He asked: why?", "She left!", "So."]),
        ('He said "no way." She left.', ['He said "no way."', "She left."]),
        ("No full stop", ["No full stop"]),
        ("Yahoo! is big, approx. five km. 5 more. émile", ["Yahoo! is big, approx. five km.", "5 more. émile"]),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_languages_have_their_own_abbreviations() -> None:
    text = "Am 3. Mai kam z. B. Herr Dr. Müller. Er ging."
    assert split(text, language="de")[-1] == "Er ging."
    assert split("Das ist Nr. 5 bzw. Nr. 66. Ende.", language="de") == ["Das ist Nr. 5 bzw. Nr. 66.", "Ende."]
    assert len(split("Das ist bzw. Das war.", language="en")) == 2


def test_no_link_is_cut() -> None:
    text = "He saw Yes! No? Maybe. Twice. Then Oh. He. Left. End."
    assert split(text) == ["He saw Yes!", "No?", "Maybe.", "Twice.", "Then Oh.", "He.", "Left.", "End."]
    assert split(text, "Yes! No? Maybe.", "Oh. He.") == [
        "He saw Yes! No? Maybe.", "Twice.", "Then Oh. He.", "Left.", "End.",
    ]  # fmt: skip
    assert split(text, text) == [text]


def test_a_border_beside_a_link_stays() -> None:
    assert split("I saw Rome. Oslo is far.", "Rome.", "Oslo") == ["I saw Rome.", "Oslo is far."]
    assert split("I saw Rome. Oslo is far.", "Rome", "Oslo") == ["I saw Rome.", "Oslo is far."]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "B.", "Dr.", "x!", "?", ".", '"', ")", "Ü", "中。", "5.", "e.g."]), max_size=40),
    st.lists(st.integers(0, 120), max_size=10),
    st.sampled_from(["en", "de", "xx"]),
)
def test_sentences_cover_all_words_and_no_link_crosses(tokens: list[str], places: list[int], language: str) -> None:
    text = " ".join(tokens)
    ends = sorted({min(place, len(text)) for place in places})
    links = [Link(a, b, "X") for a, b in zip(ends[::2], ends[1::2], strict=False)]
    spans = sentence_spans(text, links, language)
    assert all(a < b for a, b in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(any(a <= start and end <= b for a, b in spans) for start, end in split_words(text))
    for link in links:
        assert not any(link.start < start < link.end for start, _ in spans[1:])


@pytest.mark.parametrize("piece", ["a. ", ". ", "A. ", "?", "...", "a"])
def test_hostile_input_is_finished(piece: str) -> None:
    text = (piece * 20_000).strip()
    assert sentence_spans(text, [], "en")[-1][1] == len(text)


def test_real_paragraphs_are_covered(shared: Path) -> None:
    dump = Dump(shared / "data/wiki/dewiki-sample-pages-articles-multistream.xml.bz2")
    seen = 0
    for page in dump.pages():
        if page.redirect or page.ns:
            continue
        for block in clean_page(page.title, page.text, dump.site).text.split("\n"):
            spans = sentence_spans(block, [], "de")
            covered = sum(len(split_words(block[start:end])) for start, end in spans)
            assert covered == len(split_words(block))
            seen += len(spans)
    assert seen > 8000
