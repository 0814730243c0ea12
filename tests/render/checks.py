"""What the tests of pages and cards share: a hostile text, and what every page and card must hold to."""

import re
from typing import Any

import pytest
from lxml import html

from tests.pages import check_harmless, said

EVIL = "---\n# x | y ``<script>`` [a](http://b) *c* \u202e\x1b &amp; \ud83d"
"""For a card."""
HOSTILE = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"' & &lt; \u202eabc\u2066 \x1b[31m\x00\x9b --> ]]>"
"""For a page."""


def check_page(page: str) -> Any:
    """Raise AssertionError for a page that isn't well-formed, or in which `HOSTILE` acts; return its tree."""
    parser = html.HTMLParser()
    tree: Any = html.document_fromstring(page, parser=parser)
    faults = [each.message for each in parser.error_log if not re.match(r"Tag \w+ invalid", each.message)]
    assert faults == [], "tags that don't match, attributes or ids that occur twice"
    assert all(page.count(f"<{each}") == page.count(f"</{each}") for each in ("div", "section", "table", "script"))
    check_harmless(page)
    assert not tree.xpath("//form | //base | //embed | //video | //audio | //@srcset | //@action | //@srcdoc")
    assert {link for link in tree.xpath("//a/@href") if link[0] == "#"} <= {f"#{name}" for name in tree.xpath("//@id")}
    assert not re.search(r"url\(|@import|http", "".join(tree.xpath("//style/text()")))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|<img|<script>alert", page)
    return tree


def part_of(card: str, heading: str) -> str:
    """Return the text below a heading of the second level on one line; that before the first one for ""."""
    parts = re.split(r"^## (.*)\n", card, flags=re.MULTILINE)
    return said(dict(zip(["", *parts[1::2]], parts[::2], strict=True))[heading])


def check_card(card: str, title: str) -> Any:
    """Raise AssertionError for a card in which `EVIL` acts, or with another title; return its front matter."""
    yaml = pytest.importorskip("yaml")
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", card)
    outside = re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", body)
    assert not re.search(r"(?<!\\)(<script|\[a)|http://", outside)
    assert [line for line in card.splitlines() if line.startswith("# ")] == [f"# {title}"]
    return yaml.safe_load(front)
