"""Normalise titles to the form that MediaWiki stores, in NFC, and resolve redirect chains.

All sources (dump, tables, triples, template names) share one form, so a lookup is one dict access. The cost: titles
that differ only in the case of their first letter become one title, also on the few wikis that distinguish them
(Wiktionary). Unicode's title case of that letter differs from MediaWiki's for a few digraphs.
"""

import re
from collections.abc import Mapping
from unicodedata import normalize

_INVISIBLE = re.compile("[\u200e\u200f\u202a-\u202e]")


def normalise_title(title: str) -> str:
    """Return `title` in NFC with an upper first letter; underscores and blanks become single inner spaces."""
    ascii_only = title.isascii()
    if not ascii_only:
        title = normalize("NFC", _INVISIBLE.sub("", title))
    title = " ".join(title.replace("_", " ").split())
    first = title[:1].title()
    if len(first) != 1 or first == title[0]:
        return title
    title = first + title[1:]
    return title if ascii_only else normalize("NFC", title)  # an upper `İ` may be composed where a lower `i̇` is not


def fold_redirects(redirects: Mapping[str, str]) -> dict[str, str]:
    """Return each redirecting title with the end of its chain.

    A title in a cycle ends at itself; a title that leads into a cycle ends where it enters. Runs in linear time.
    """
    ends: dict[str, str] = {}
    for start in redirects:
        chain: dict[str, None] = {}
        title = start
        while title in redirects and title not in ends and title not in chain:
            chain[title] = None
            title = redirects[title]
        end, in_cycle = ends.get(title, title), False
        for link in chain:
            in_cycle = in_cycle or link == title
            ends[link] = link if in_cycle else end
    return ends
