"""Publishers' forms → IOB2: each reader and scheme, what is cut from train, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.data.catalogue import Recipe
from nerbert.errors import InputError
from nerbert.labels import bio_from_spans, spans_from_bio
from nerbert_bench.datasets.fetch import EMPTY, Sentence, conll_text, cut_sentences, read_raw
from tests.bench.datasets.published import pairs, spaced, unconvert
from tests.raised import raises

WORD = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5)
TAGGED = st.lists(
    st.tuples(WORD, st.sampled_from(["O", "B-PER", "I-PER", "B-a/b-c", "I-a/b-c"])), min_size=1, max_size=6
)


def legal(sentence: Sentence) -> Sentence:
    tags = bio_from_spans(len(sentence), spans_from_bio([tag for _, tag in sentence]))
    return [(token, tag) for (token, _), tag in zip(sentence, tags, strict=True)]


def apart(sentence: Sentence) -> Sentence:
    """A sentence in which no two entities of one type touch, since IO and bare IOB1 can't tell such apart."""
    return [each for at, each in enumerate(sentence) if not (at and each[1][0] == "B" and sentence[at - 1][1] != "O")]


def back(text: str, reader: Any, scheme: Any, *drop: str) -> list[Sentence]:
    return read_raw(text.encode(errors="surrogateescape"), Recipe(reader=reader, scheme=scheme, drop=drop))


@pytest.mark.parametrize("scheme", ["iob2", "iob1", "io", "bioes"])
@given(sentences=st.lists(TAGGED.map(legal), min_size=1, max_size=5))
def test_every_scheme_comes_back(scheme: str, sentences: list[Sentence]) -> None:
    if scheme in ("iob1", "io"):
        sentences = [legal(apart(each)) for each in sentences]
    there = unconvert(sentences, scheme)
    assert back(conll_text(there), "columns", scheme) == sentences
    assert back("\ufeff" + conll_text(there).replace("\n", "\r\n"), "columns", scheme) == sentences
    assert back(spaced(there, "NN  - ").removesuffix("\n\n"), "columns", scheme) == sentences
    assert back(pairs(there), "pairs", scheme) == sentences


def test_what_is_no_token_is_dropped() -> None:
    text = "-DOCSTART- -X- O O\n\nIMGID:1\na O\n \n\n\nIMGID:2\nb B-x\n-DOCSTART- O\n"
    assert back(text, "columns", "iob2", "-DOCSTART-", "IMGID:") == [[("a", "O")], [("b", "B-x")]]


def test_tokens_lose_their_white_space() -> None:
    """Also such as `str.splitlines` would take for a line's end; a token that is nothing else stays one."""
    text = "\tO\n \tO\na b\tB-x\n\u2028c\x85\x0b\td\tI-x\n\u00a0\tO\n"
    expected = [(EMPTY, "O"), (EMPTY, "O"), ("ab", "B-x"), ("c", "I-x"), (EMPTY, "O")]
    assert back(text, "columns", "iob2") == [expected]


def test_tags_that_are_iob2_keep_their_faults() -> None:
    assert back("a\tI-x\nb\tI-y\n", "columns", "iob2") == [[("a", "I-x"), ("b", "I-y")]]
    assert back("a\tI-x\nb\tI-y\nc\tB-y\n", "columns", "iob1") == [[("a", "B-x"), ("b", "B-y"), ("c", "B-y")]]


@pytest.mark.parametrize(
    ("text", "reader", "scheme", "words"),
    [
        ("a\tO\nb\n", "columns", "iob2", "broken line 'b'"),
        ("a\tO\n\n O\n", "columns", "iob2", "broken line ' O'"),
        ("a\tX\n\n", "columns", "iob2", "tag 'X': must be"),
        ("a\tQ-x\n", "columns", "bioes", "tag 'Q-x': must be"),
        ("a:O b:O\n", "pairs", "iob2", "broken line"),
        ("a:O b <=> x\n", "pairs", "iob2", "broken line"),
        ("a\tO\n\udcff\tO\n", "columns", "iob2", "not UTF-8 at byte 4"),
    ],
)
def test_faults_are_told(text: str, reader: str, scheme: str, words: str) -> None:
    with raises(InputError, words=words):
        back(text, reader, scheme, "-D")


def test_cuts_are_drawn_in_order_and_lose_nothing() -> None:
    sentences: list[Sentence] = [[(str(place), "O")] for place in range(50)]
    found = cut_sentences(sentences, {"dev": 5, "test": 10})
    assert {split: len(each) for split, each in found.items()} == {"dev": 5, "test": 10, "train": 35}
    places = {split: [int(each[0][0]) for each in part] for split, part in found.items()}
    assert sorted(place for part in places.values() for place in part) == list(range(50))
    assert all(part == sorted(part) for part in places.values())
    assert cut_sentences(sentences, {"dev": 5})["dev"] == found["dev"], "the second cut leaves the first alone"
    with raises(InputError, words="too few"):
        cut_sentences(sentences, {"dev": 20, "test": 30})
