"""Counts of mentions and sentences in the manifest besides categories: topics, and years.

A topic comes from a mention's whole class path, never from its category, which a label set may have merged from several
roots. The cost: like `4types`, it knows the ontology's classes only through the table of the paper's labels.
"""

from collections.abc import Mapping
from functools import cache, lru_cache

from nerbert.label_sets import LabelSet, open_label_set

TOPICS = ("persons", "places", "organisations", "others", "untyped")
"""Topics of mentions: `others` have a class that is none of the three, `untyped` have no class."""
_TOPICS = {"person": "persons", "location": "places", "organisation": "organisations"}


@lru_cache(1 << 16)
def topic_of(path: tuple[str, ...]) -> str:
    """Return the topic of a mention with this class path."""
    return _TOPICS.get(_coarse().label(path), "others") if path else "untyped"


@cache
def _coarse() -> LabelSet:
    return open_label_set("4types")


def period_of(year: str) -> str:
    """Return the decade of a year in a sentence, or before 1900 the century."""
    return f"{year[:3]}0–{year[:3]}9" if year >= "1900" else f"{year[:2]}00–{year[:2]}99"


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Sort counts, largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
