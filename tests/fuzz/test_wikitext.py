"""Hostile wikitext: links lie in their text, no character of the scanner's own is left, and the time is linear."""

import bz2
import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from hypothesis import strategies as st

import nerbert
from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.wikitext.protected import without_ours
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.records import CleanPage
from tests.corpus.wikitext.test_scan import DE, EN, HOSTILE, TOKENS, check
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated, soup

pytestmark = pytest.mark.fuzz
SITES = (EN, DE, *(make_site("", code, {}) for code in ("zh", "ar", "tr", "ca", "fr", "sr")))
PIECES = tuple(
    dict.fromkeys(
        (
            *TOKENS,
            *HOSTILE,
            "-{",
            "}-",
            "zh-hans:",
            "sr-el:",
            ";",
            "=>",
            "<gallery>",
            "</gallery>",
            "<math>",
            "</math>",
            "<table>",
            "</table>",
            "<onlyinclude>",
            "{{convert|5|",
            "{{cvt|1|to|",
            "{{chem|",
            "{{nbsp}}",
            "{{unité|",
            "km",
            "{{PAGENAME}}",
            "{{Infobox x|",
            "ISBN ",
            "~~~~",
            "#REDIRECT ",
            "&#x1F600;",
            "&#0;",
            "&#xD800;",
            "&#27;",
            "%1B",
            "%00",
            "\U0001f469\u200d\U0001f467",
            "e\u0301",
            "\u0301",
            "ا",
            "\u3000",
            "\x85",
            "\x0c",
            "\x7f",
            "\ud800",
            "[[:",
            "''''",
            "'''''",
            "''''''",
            "<s",
            "/>",
            "://",
            "mailto:",
            "\n----",
            "\n=",
            "=\n",
            "\n|",
            "\n!",
            "\n{|",
            "\n|}",
        )
    )
)
"""What begins, ends or is markup, and characters that are more than one, or none."""
SOUP = soup(PIECES, 40).map("".join)


@cache
def pages() -> list[bytes]:
    """The text of the sample's shorter articles."""
    (dump,) = (Path(nerbert.__file__).parent / "sample" / "wiki").glob("*.xml.bz2")
    texts = re.findall(rb'<text[^>]*preserve">([^<]{200,1500})<', bz2.decompress(dump.read_bytes()))
    return [text.replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&") for text in texts[:60]]


def check_page(case: tuple[str, int, int]) -> CleanPage:
    """Check what holds for the page of a text; the number says which wiki's and with which options."""
    source, site, options = without_ours(case[0]), *case[1:]
    wiki, lists = SITES[site % len(SITES)], bool(options)
    page = scan_page("Own title", source, wiki, lists=lists)
    check(page)
    there = controls(source) | {"\n"}
    shown = (page.text, *page.targets, *page.categories, *(box.template for box in page.infoboxes))
    assert all(controls(each) <= there for each in shown), shown
    assert "\n" not in "".join([*page.targets, *page.categories])
    assert scan_page("Own title", source, wiki, lists=lists) == page
    return page


def controls(text: str) -> set[str]:
    """The control characters of a text."""
    return {char for char in text if unicodedata.category(char) == "Cc"}


WHERE = st.integers(0, len(SITES) - 1), st.integers(0, 1)
FOUND = [
    *((f"[[a%{code}b]] [[:Category:%{code}]] [[%{code}|c]]", 0, 0) for code in ("00", "1B", "7F", "0A", "C2%9B")),
    ("[[Category:a&#10;b]] [[Category:a&#12;b]]", 0, 0),
]


def test_any_pieces_make_a_page(fuzz: Fuzz) -> None:
    fuzz(st.tuples(SOUP, *WHERE), check_page, found=FOUND, share=4)


def test_any_broken_page_is_cleaned(fuzz: Fuzz) -> None:
    words = [piece.encode("utf-8", "surrogatepass") for piece in PIECES]
    broken = mutated(pages(), words).map(lambda data: data.decode("utf-8", "replace"))
    fuzz(st.tuples(broken, *WHERE), check_page)
