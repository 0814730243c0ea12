"""The scanner against the oracle on real pages of three languages, and the oracle against links that are known."""

from pathlib import Path

import pytest

from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.wikitext.scan import clean_page

pytest.importorskip("mwparserfromhell")
from tests.corpus.oracle import Agreement, agreement, article_pages, oracle_links, oracle_paragraphs, scanner_links

pytestmark = pytest.mark.extras
EN = make_site("enwiki", "en", {})
DE = make_site("dewiki", "de", {"Datei": 6, "Kategorie": 14})

SLOW = pytest.mark.nightly


@pytest.mark.parametrize(
    ("language", "least"),
    [pytest.param("en", 48_000, marks=SLOW), ("de", 14_700), pytest.param("it", 28_000, marks=SLOW)],
)
def test_links_agree_with_the_oracle(shared: Path, language: str, least: int) -> None:
    """Micro-agreement over (target, anchor, place), all articles; 0.996 in each language when this was written."""
    total = Agreement()
    for site, page in article_pages(shared / "data" / "wiki", language):
        clean = clean_page(page.title, page.text, site)
        ours, theirs = scanner_links(clean.text, clean.links), oracle_links(page.title, page.text, site)
        total.add(agreement(ours, theirs))
    assert total.both > least
    assert min(total.scores()) >= 0.99


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a [[b]]s and [[c|d]]e, [[f]]''g''.", "a <bs→B> and <de→C>, <f→F>''g''."),
        ("== h ==\na\nb\n* [[c]]\n{|\n| [[d]]\n|}\ne<ref>[[f]]</ref>\n\ng", "a\nb|e|g"),
        ("[[File:x|thumb|a [[b]]]]c [[Category:d]][[de:e]][[:de:e]] [[wikt:f]]", "c de:e wikt:f"),
        ("{{infobox|a=[[b]]}}{{lang|fr|[[c]]}} {{lang-fr|d}}", "<c→C> <French→French language>: d"),
        ("[[a<!-- b -->|c]]<!-- d -->e\n<!-- f -->\ng", "<ce→A>\ng"),
        ("<small>[[a]]</small>b<br>c<sub>d", "<a→A>b cd"),
        ("[[own title]] [[#x|y]] [[{{t}}|u]] [[a#b|c]] [[A_b]] [[a%20b|c]]", "own title y u <c→A> <A_b→A b> <c→A b>"),
        ("[[a|b [[c]] d]] [[<x>]]", "[[a|b <c→C> d]] [[<x>]]"),
        ("[http://x [[a]] b] <math>x^2</math>&nbsp;<nowiki>[[c]]</nowiki>", "<a→A> b formula\xa0[[c]]"),
    ],
)
def test_what_the_oracle_reads(source: str, text: str) -> None:
    paragraphs = oracle_paragraphs("Own title", source, EN)
    assert "|".join(marked(*each).strip() for each in paragraphs if each[0].strip()) == text


def test_other_languages() -> None:
    (paragraph,) = [
        marked(*each) for each in oracle_paragraphs("T", "[[Haus]]übung [[Datei:a]] {{frS|b}}", DE) if each[0]
    ]
    assert paragraph == "<Hausübung→Haus>  <französisch→Französische Sprache> b"


def marked(text: str, links: list[tuple[int, int, str]]) -> str:
    """The text with its links shown as `<anchor→target>`."""
    for start, end, target in reversed(links):
        text = f"{text[:start]}<{text[start:end]}→{target}>{text[end:]}"
    return text
