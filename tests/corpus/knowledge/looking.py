"""Looks titles up in a table of types, and makes tables in small pieces."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from nerbert.corpus.knowledge import external_sort as hashed
from nerbert.corpus.knowledge import mmap_table as mapped
from nerbert.corpus.knowledge.claims import ClassPath
from nerbert.corpus.knowledge.table import TypeTable


def shrink(patch: pytest.MonkeyPatch) -> None:
    """From now on a run, a range and a batch hold a handful of rows."""
    patch.setattr(hashed, "_RUN_ROWS", 3)
    patch.setattr(hashed, "_RANGE_BYTES", 4000)
    patch.setattr(mapped, "_BATCH", 2)


def types_of(path: Path, titles: Sequence[str]) -> dict[str, tuple[ClassPath, str]]:
    """Those of `titles` that have a class, with it and its source."""
    table = TypeTable(path)
    places = zip(titles, *(each.tolist() for each in table.places_of(titles)), strict=True)
    return {title: (table.classes[number], table.sources[source]) for title, number, source in places if number >= 0}
