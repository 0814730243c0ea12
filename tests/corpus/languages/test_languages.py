"""Written pages of many languages and scripts: pass 1 finds their sentences, words and mentions, and leaves no markup.

For each language, `CODE.wiki` is a page with the kinds of markup that languages name in their own words, and
`CODE.txt` is what the corpus shall have: a line for each sentence, with its mentions as `[text→target]`. A line with
the sentence's words, each after a bar, may follow. A mention covers what MediaWiki shows as the link, without
punctuation after it. Markup that is the same in all languages is tried around a name of each page.
"""

import re
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.page_rows import PageRows
from nerbert.corpus.settings import CorpusSettings
from nerbert.records import RawPage
from nerbert.tables import read_columns

HERE = Path(__file__).parent
CODES = sorted(path.stem for path in HERE.glob("*.wiki"))
MARKUP = ("[[", "]]", "{{", "}}", "''", "<", "__", "|", "-{", "}-", "&nbsp;")
PARTICLES = {row[0] for row in read_columns("glued.tsv", "language")}
"""Languages whose names join particles that MediaWiki leaves outside the link."""
COMMON = """
''{t}'' <b>{t}</b>&nbsp;{t}&ndash;{t} <nowiki>''{t}''</nowiki> '''''[[{t}]]'''''
[https://example.org {t}] <math>x</math> [[{t}#{t}|{t}]]<ref name="x" /><ref>[[{t}]]</ref> <!-- [[{t}]] -->
[[:{category}:{t}|{t}]] [[:{file}:{t}.jpg|{t}]] [[{t} ({t})|]] {{{{nts|5}}}} <i lang="en">[[{t}|''{t}'']]</i><br />
<gallery>
{file}:{t}.jpg|[[{t}]]
</gallery>
{t}{{{{'}}}} {t}{{{{'s}}}} ''[[{t}]]{{{{'}}}}'' [[{other}:{t}|{t}]] [[:{other}:{t}|{t}]]
;[[{t}]]
[[{category}:{t}]]
[[{other}:{t}]]
"""
"""Text around a name, with two namespaces in the language's words, and another language's page."""
COMMON_FOUND = (
    "{t} {t} {t}–{t} ''{t}'' [{t}→{t}] {t} x [{t}→{t}] {t} {t} [{t}→{t} ({t})] [{t}→{t}]",
    "{t}' {t}'s [{t}→{t}]' {t}",
)

Mention = tuple[int, int, str]


class Sentence(NamedTuple):
    """A sentence with its mentions (start, end, target) and its words; of an expected one, None for unknown words."""

    text: str
    mentions: list[Mention]
    words: list[str] | None


@cache
def found(code: str, text: str = "", glued: Literal["grow", "drop"] = "grow") -> list[Sentence]:
    """What pass 1 makes of a language's page, or of a text."""
    text = text or (HERE / f"{code}.wiki").read_text(encoding="utf-8")
    rows = PageRows(make_site(f"{code}wiki", code, {}), CorpusSettings(glued=glued))
    rows.add(RawPage(1, 1, "Title", 0, "", "wikitext", text), 0)
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


@pytest.mark.parametrize("code", CODES)
def test_a_page_is_read(code: str) -> None:
    """Its sentences, their mentions and words; link trails alone find mentions where the language has no particles."""
    made, wanted = found(code), expected(code)
    assert [sentence.text for sentence in made] == [sentence.text for sentence in wanted]
    assert marked(made) == marked(wanted)
    assert code in PARTICLES or marked(found(code, glued="drop")) == marked(wanted)
    words = {sentence.text: sentence.words for sentence in wanted if sentence.words is not None}
    assert {sentence.text: sentence.words for sentence in made if sentence.text in words} == words
    assert not [(mark, sentence.text) for sentence in made for mark in MARKUP if mark in sentence.text]


@pytest.mark.parametrize("code", CODES)
def test_markup_that_all_languages_share_is_read(code: str) -> None:
    target = min((target for each in expected(code) for _, _, target in each.mentions), key=len)
    names = {number: name for name, number in make_site(f"{code}wiki", code, {}).namespaces.items()}
    some = {"t": target, "file": names[6], "category": names[14], "other": "eo" if code != "eo" else "la"}
    made, wanted = found(code, COMMON.format(**some)), [written(line.format(**some)) for line in COMMON_FOUND]
    assert [(each.text, each.mentions) for each in made] == [(each.text, each.mentions) for each in wanted]


LANGUAGES = ("am az bn cs da es et fa fi fr hi hu ja kk ml mr my nl pl ro ru sr sv ta te tr uk ur vi zh").split()
MOST = 0.02


@pytest.mark.parametrize("language", LANGUAGES)
def test_few_links_cut_a_word(language: str, shared: Path) -> None:
    """On real pages of thirty Wikipedias, which leave no markup either."""
    dump = Dump(shared / "data" / "wiki" / "minidumps" / f"{language}.xml")
    rows = PageRows(dump.site, CorpusSettings())
    for number, page in enumerate(dump.pages()):
        rows.add(page, number)
    sentences, _ = rows.take()
    links = rows.report.links
    assert links["kept"]
    assert language == "am" or not rows.report.grown  # link trails are enough but where particles precede names
    assert links["cuts_a_word"] <= MOST * (links["cuts_a_word"] + links["kept"])
    for text in sentences["text"].to_pylist():
        assert not [mark for mark in MARKUP if mark in text]
