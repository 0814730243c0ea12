"""Written pages of many languages and scripts: pass 1 finds their sentences, words and mentions, and leaves no markup.

For each language, `CODE.wiki` is a page with every kind of markup in that language's own words, and `CODE.txt` is what
the corpus shall have: a line for each sentence, with its mentions as `[text→target]`. A line with the sentence's words,
each after a bar, may follow. A mention covers what MediaWiki shows as the link, without punctuation.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.rows import PageRows
from nerbert.corpus.settings import CorpusSettings
from nerbert.records import RawPage

HERE = Path(__file__).parent
CODES = sorted(path.stem for path in HERE.glob("*.wiki"))
MARKUP = ("[[", "]]", "{{", "}}", "''", "<", "__", "|", "-{", "}-", "&nbsp;")
LOWEST = 0.98

Mention = tuple[int, int, str]


class Sentence(NamedTuple):
    """A sentence with its mentions (start, end, target) and its words; of an expected one, None for unknown words."""

    text: str
    mentions: list[Mention]
    words: list[str] | None


@cache
def found(code: str) -> list[Sentence]:
    """What pass 1 makes of a page, captions of pictures too."""
    page = RawPage(1, 1, "Title", 0, "", "wikitext", (HERE / f"{code}.wiki").read_text(encoding="utf-8"))
    rows = PageRows(make_site(f"{code}wiki", code, {}), CorpusSettings(captions=True))
    rows.add(page, 0)
    sentences, _ = rows.take()
    return [
        Sentence(
            row["text"],
            [(link["start"], link["end"], link["target"]) for link in row["links"]],
            [row["text"][word["start"] : word["end"]] for word in row["words"]],
        )
        for row in sentences.to_pylist()
    ]


@cache
def expected(code: str) -> list[Sentence]:
    """What the corpus shall have of a page."""
    sentences: list[Sentence] = []
    for line in (HERE / f"{code}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            sentences[-1] = sentences[-1]._replace(words=line.removeprefix("| ").split(" | "))
        else:
            sentences.append(written(line))
    return sentences


def written(line: str) -> Sentence:
    """A sentence from its line."""
    text, mentions = "", list[Mention]()
    for before, anchor, target in re.findall(r"([^\[\]]*)(?:\[([^\[\]→]+)→([^\[\]]+)\])?", line):
        text += before + anchor
        if anchor:
            mentions.append((len(text) - len(anchor), len(text), target))
    return Sentence(text, mentions, None)


def marked(sentences: list[Sentence]) -> list[str]:
    """The sentences' mentions with their places, as lines to compare."""
    return [f"{s.text}: {s.text[start:end]}→{target}" for s in sentences for start, end, target in s.mentions]


def f1(made: list[str], wanted: list[str]) -> float:
    """F1 of mentions: text, place and target must be equal."""
    common = len(set(made) & set(wanted))
    return 2 * common / (len(made) + len(wanted))


def test_there_are_many_languages() -> None:
    assert len(CODES) >= 40
    assert all(any(sentence.words for sentence in expected(code)) for code in CODES)
    assert all(6 <= len(expected(code)) <= 12 for code in CODES)


@pytest.mark.parametrize("code", CODES)
def test_sentences_are_found(code: str) -> None:
    assert [sentence.text for sentence in found(code)] == [sentence.text for sentence in expected(code)]


@pytest.mark.parametrize("code", CODES)
def test_mentions_are_found(code: str) -> None:
    made, wanted = marked(found(code)), marked(expected(code))
    assert f1(made, wanted) >= LOWEST, f"found {sorted({*made} - {*wanted})}, not {sorted({*wanted} - {*made})}"


@pytest.mark.parametrize("code", CODES)
def test_words_are_found(code: str) -> None:
    made = {sentence.text: sentence.words for sentence in found(code)}
    for sentence in expected(code):
        if sentence.words is not None:
            assert made[sentence.text] == sentence.words


@pytest.mark.parametrize("code", CODES)
def test_no_markup_is_left(code: str) -> None:
    assert not [(mark, sentence.text) for sentence in found(code) for mark in MARKUP if mark in sentence.text]
