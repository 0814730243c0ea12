"""What the tests of cards share: a hostile text, and what every card must hold to."""

import re
from typing import Any

from tests.pages import said

EVIL = "---\n# x | y ``<script>`` [a](http://b) *c* \u202e\x1b &amp; \ud83d"


def part_of(card: str, heading: str) -> str:
    """Return the text below a heading of the second level on one line; that before the first one for ""."""
    parts = re.split(r"^## (.*)\n", card, flags=re.MULTILINE)
    return said(dict(zip(["", *parts[1::2]], parts[::2], strict=True))[heading])


def check_card(card: str, title: str) -> Any:
    """Raise AssertionError for a card in which `EVIL` acts, or with another title; return its front matter."""
    import yaml

    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", card)
    outside = re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", body)
    assert not re.search(r"(?<!\\)(<script|\[a)|http://", outside)
    assert [line for line in card.splitlines() if line.startswith("# ")] == [f"# {title}"]
    return yaml.safe_load(front)
