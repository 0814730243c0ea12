from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.wikitext.scan import clean_page
from nerbert.sentences import RuleSplitter, join_in_links
from nerbert.words import split_words


def split(text: str, *anchors: str, language: str = "en") -> list[str]:
    starts = [text.index(anchor) for anchor in anchors]
    ends = [text.index(anchor) + len(anchor) for anchor in anchors]
    spans = RuleSplitter(language).spans(text)
    return [text[start:end] for start, end in join_in_links(spans, starts, ends)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. J. Smith met St. Paul. He left.", ["Dr. J. Smith met St. Paul.", "He left."]),
        ("It is 5.5 m high. The U.S. Army came.", ["It is 5.5 m high.", "The U.S. Army came."]),
        ("He asked: why? She left! So.", ["He asked: why?", "She left!", "So."]),
        ('He said "no way." She left.', ['He said "no way."', "She left."]),
        ("No full stop", ["No full stop"]),
        ("Yahoo! is big, approx. five km. 5 more. émile", ["Yahoo! is big, approx. five km.", "5 more. émile"]),
        ("One line\nAnother. Two\n\n Three ", ["One line", "Another.", "Two", "Three"]),
        ("", []),
        (" \n\t\n", []),
    ],
)
def test_sentences_of_a_text(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_languages_have_their_own_abbreviations() -> None:
    text = "Am 3. Mai kam z. B. Herr Dr. Müller. Er ging."
    assert split(text, language="de")[-1] == "Er ging."
    assert split("Das ist Nr. 5 bzw. Nr. 66. Ende war.", language="de") == ["Das ist Nr. 5 bzw. Nr. 66. Ende war."]
    assert len(split("Das ist bezw. Das war.", language="en")) == 2


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


def _borders(places: list[int], limit: int) -> list[tuple[int, int]]:
    ordered = sorted({min(place, limit) for place in places})
    return list(zip(ordered[::2], ordered[1::2], strict=False))


@given(
    st.lists(
        st.sampled_from(["a", "B.", "Dr.", "x!", "?", ".", '"', ")", "Ü", "中。", "5.", "e.g.", "\n"]), max_size=40
    ),
    st.lists(st.integers(0, 120), max_size=10),
    st.sampled_from(["en", "de", "xx"]),
)
def test_sentences_hold_all_words_and_no_link_is_cut(tokens: list[str], places: list[int], language: str) -> None:
    text = " ".join(tokens)
    links = _borders(places, len(text))
    spans = join_in_links(RuleSplitter(language).spans(text), [start for start, _ in links], [end for _, end in links])
    assert all(a < b for a, b in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(any(a <= start and end <= b for a, b in spans) for start, end in split_words(text))
    for start, end in links:
        assert not any(start < first < end for first, _ in spans[1:])


@given(st.lists(st.integers(0, 60), max_size=20), st.lists(st.integers(0, 60), max_size=10))
def test_joining_does_what_it_says_slowly(cuts: list[int], places: list[int]) -> None:
    spans, links = _borders(cuts, 60), _borders(places, 60)
    expected: list[tuple[int, int]] = []
    for start, end in spans:
        if expected and any(first < start < last for first, last in links):
            expected[-1] = (expected[-1][0], end)
        else:
            expected.append((start, end))
    assert join_in_links(spans, [start for start, _ in links], [end for _, end in links]) == expected


@pytest.mark.parametrize("piece", ["a. ", ". ", "A. ", "?", "...", "a", "Aaaaa. (", "\n"])
def test_hostile_input_is_finished(piece: str) -> None:
    text = piece * 20_000
    spans = RuleSplitter("en").spans(text)
    assert not spans or spans[-1][1] == len(text.rstrip())


def test_real_paragraphs_are_covered(shared: Path) -> None:
    dump = Dump(shared / "data/wiki/dewiki-sample-pages-articles-multistream.xml.bz2")
    seen = 0
    for page in dump.pages():
        if not page.redirect and not page.ns:
            text = clean_page(page.title, page.text, dump.site).text
            spans = RuleSplitter("de").spans(text)
            assert sum(len(split_words(text[start:end])) for start, end in spans) == len(split_words(text))
            seen += len(spans)
    assert seen > 8000
