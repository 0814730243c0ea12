"""Looks titles up in a table of types."""

from collections.abc import Sequence
from pathlib import Path

from nerbert.corpus.knowledge.answers import ClassPath
from nerbert.corpus.knowledge.table import TypeTable


def types_of(path: Path, titles: Sequence[str]) -> dict[str, tuple[ClassPath, str]]:
    """Those of `titles` that have a class, with it and its source."""
    table = TypeTable(path)
    places = zip(titles, *(each.tolist() for each in table.places_of(titles)), strict=True)
    return {title: (table.classes[number], table.sources[source]) for title, number, source in places if number >= 0}
