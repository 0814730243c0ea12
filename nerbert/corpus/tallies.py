"""What the manifest counts mentions and sentences by, beside categories: topics, and years.

A topic is read off a mention's whole class path, never off its category, which a label set may have joined from several
roots. The price: it knows the ontology's classes through the table of the paper's labels only, as `4types` does.
"""

from collections.abc import Mapping
from functools import cache, lru_cache

from nerbert.label_sets import LabelSet, open_label_set

TOPICS = ("persons", "places", "organisations", "others", "untyped")
"""What a mention can be about: `others` has a class that is none of the three, `untyped` has no class."""
_TOPICS = {"person": "persons", "location": "places", "organisation": "organisations"}


@lru_cache(1 << 16)
def topic_of(path: tuple[str, ...]) -> str:
    """The topic of a mention with this class path."""
    return _TOPICS.get(_coarse().label(path), "others") if path else "untyped"


@cache
def _coarse() -> LabelSet:
    return open_label_set("4types")


def period_of(year: str) -> str:
    """The decade of a year that a sentence names; the century, before 1900."""
    return f"{year[:3]}0–{year[:3]}9" if year >= "1900" else f"{year[:2]}00–{year[:2]}99"


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """The same counts, largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
