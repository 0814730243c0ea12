"""Stretches that may be names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.settings import BUILT_IN_STEPS, USUAL_STEPS, CorpusSettings
from nerbert.corpus.shards import read_sentences
from nerbert.corpus.unknown import NAME, NameIndex, drop_overlaps, inside, join_words, span_hashes
from nerbert.corpus.word_columns import codes_of, words_of
from nerbert.errors import SettingsError
from nerbert.records import Sentence
from tests.stages import CorpusPlan, build_corpus

SETTINGS = CorpusSettings(
    min_mentions=1,
    validation_ratio=0.0,
    common_categories=0,
    keep_untyped=True,
    steps=BUILT_IN_STEPS,
)
TYPES = {
    "Ada Lovelace": "Person",
    "Charles Babbage": "Person",
    "London": "City",
    "Mary Brown": "Person",
    "It (novel)": "Novel",
    "Analytical Engine": "Device",
    "John Smith": "Person",
    "Adam Smith": "Person",
    "Nansen": "Person",
    "New London": "City",
}


def built(
    folder: Path,
    pages: Mapping[str, str],
    settings: CorpusSettings = SETTINGS,
    *,
    language: str = "en",
    types: Mapping[str, str] = TYPES,
) -> list[Sentence]:
    """Return the corpus of a small wiki."""
    text = f'<mediawiki xml:lang="{language}"><siteinfo><dbname>{language}wiki</dbname></siteinfo>'
    for number, (title, source) in enumerate(pages.items(), 1):
        text += f"<page><title>{title}</title><ns>0</ns><id>{number}</id>"
        text += f"<revision><id>{number}</id><text>{source}</text></revision></page>\n"
    (folder / "wiki.xml").write_text(text + "</mediawiki>")
    (folder / "t.tsv").write_text("title\tclass\n" + "".join(f"{title}\t{name}\n" for title, name in types.items()))
    output = folder / "out"
    build_corpus(CorpusPlan((folder / "wiki.xml",), (folder / "t.tsv",), output, overwrite=True), settings)
    return list(read_sentences(output))


def unknown(sentences: Sequence[Sentence], page: str) -> list[tuple[str, str]]:
    return [(s.text[start:end], why) for s in sentences if s.title == page for start, end, why in s.unknown]


def test_without_the_step_nothing_is_unknown(tmp_path: Path) -> None:
    pages = {"Engine": "[[Ada Lovelace]] wrote. Lovelace liked [[London]]."}
    sentences = built(tmp_path, pages, replace(SETTINGS, steps=USUAL_STEPS))
    assert not any(each.unknown for each in sentences)


@pytest.mark.parametrize("steps", [(*USUAL_STEPS, "unknown"), (*BUILT_IN_STEPS, "unknown")])
def test_a_step_in_another_place_is_refused(steps: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=r"no link, typing, \(unknown\)"):
        CorpusSettings(steps=steps)


def test_a_sentence_begins_at_its_first_letter(tmp_path: Path) -> None:
    lines = [
        "what it is, it is, and it was, in [[London]].",
        "\u201cIt was late in [[London]].",
        "he read It in [[London]].",
    ]
    assert unknown(built(tmp_path, {"Late": "\n\n".join(lines)}), "Late") == [("It", "capitalised")]


def test_long_names_shift_no_counts(tmp_path: Path) -> None:
    settings = replace(SETTINGS, unknown_min_mentions=3)
    anchors = [f"alpha{number} beta" for number in range(4)] + [" ".join(f"w{number}" for number in range(13))]
    linked = "".join(
        f"see [[London|{anchor}]], and [[London|{anchor}]], and [[London|{anchor}]].\n\n" for anchor in anchors
    )
    used = "alpha1 beta, alpha1 beta, alpha1 beta, alpha1 beta, of [[New London]].\n\n"
    pages = {"Linked": linked, "Used": used, "Own": "an alpha1 beta, alpha3 beta of [[New London]]."}
    assert unknown(built(tmp_path, pages, settings), "Own") == [("alpha3 beta", "mention_elsewhere")]


def test_capitalised_stretches_are_unknown(tmp_path: Path) -> None:
    often = "They saw the sea, the town and the man of [[London]]; they saw that they were they. " * 3
    pages = {
        "Trip": f"{often}The man saw [[London]] with Bob-Jones O'Brien and John. They met Eve. Eve left [[London]]."
    }
    assert unknown(built(tmp_path, pages), "Trip") == [
        ("Bob-Jones O'Brien", "capitalised"),
        ("John", "capitalised"),
        ("Eve", "capitalised"),
    ]
    assert unknown(built(tmp_path, pages, language="de"), "Trip") == []


def test_names_that_are_mentions_elsewhere_are_unknown(tmp_path: Path) -> None:
    settings = replace(SETTINGS, unknown_min_mentions=3)
    pages = {f"P{number}": f"an [[Analytical Engine|engine of note]], number {number}." for number in range(3)}
    pages |= {"Own": "the engine of note of [[London]], the engine."}
    assert unknown(built(tmp_path, pages, settings), "Own") == [("engine of note", "mention_elsewhere")]
    assert unknown(built(tmp_path, pages, replace(settings, unknown_min_mentions=4)), "Own") == []
    often = {"Often": "the engine of note, engine of note, engine of note, engine of note, and [[London]]."}
    assert unknown(built(tmp_path, pages | often, settings), "Own") == []


_WORD = st.sampled_from(["a", "b", "ab", "Ab", "ä", "本", "😀"])
_TEXT = st.lists(_WORD, min_size=1, max_size=12).map(" ".join)


@given(st.lists(_TEXT, min_size=1, max_size=4), st.lists(_TEXT, max_size=6))
def test_names_are_found_as_word_by_word(texts: list[str], names: list[str]) -> None:
    text, words = "\n".join(texts) + "\n", words_of(texts)
    own, hashes = words_of(names), span_hashes(codes_of("".join(f"{each}\n" for each in names)))
    firsts = hashes(own.starts[own.first[:-1]], own.ends[own.first[:-1]])
    columns = [hashes(own.sentences[:-1], own.sentences[1:] - 1), firsts, np.diff(own.first)]
    known = NameIndex.of(np.rec.fromarrays(columns, NAME))
    hits = known.find_names(words, span_hashes(codes_of(text)))
    places = [
        tuple(zip(words.starts[a:b].tolist(), words.ends[a:b].tolist(), strict=True))
        for a, b in zip(words.first, words.first[1:], strict=False)
    ]
    wanted = set()
    for sentence in places:
        for first in range(len(sentence)):
            for last in range(first, min(first + 12, len(sentence))):
                if text[sentence[first][0] : sentence[last][1]] in names:
                    wanted.add((sentence[first][0], last - first + 1))
    starts = words.starts
    assert {(int(starts[begin]), length) for begins, length, _ in hits for begin in begins.tolist()} == wanted


def test_the_longest_come_first_then_the_leftmost() -> None:
    free = np.array([True, True, True, True, False])
    hits = [(np.array([1, 2, 3]), 2, np.array([7, 8, 9])), (np.array([0, 1, 3]), 1, np.array([1, 2, 3]))]
    begins, lengths, keys = drop_overlaps(hits, free)
    assert (begins.tolist(), lengths.tolist(), keys.tolist()) == ([0, 1, 3], [1, 2, 1], [1, 7, 3])


def test_words_inside_stretches() -> None:
    spans = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))
    rows = pa.RecordBatch.from_arrays(
        [
            pa.array(["a bc d", "", "x y"]),
            pa.array([[(0, 1), (2, 4), (5, 6)], [], [(0, 1), (2, 3)]], spans),
            pa.array([[(2, 6)], [], [(0, 1)]], spans),
        ],
        names=["text", "words", "links"],
    )
    text, words = join_words(rows)
    assert text == "a bc d\n\nx y\n"
    assert [text[a:b] for a, b in zip(words.starts, words.ends, strict=True)] == ["a", "bc", "d", "x", "y"]
    assert inside(words, rows["links"]).tolist() == [False, True, True, True, False]
