"""`knowledge.arrow`: which class every title has, and which source says so, decided once for all of a corpus's workers.

The choice: what all sources claim is sorted by title on disk, and of each title the claim of the first source in order
of precedence stays. So memory doesn't grow with the titles, neither here nor where they are looked up. Classes and
sources are numbers whose names stand in the file's metadata, which limits both. Titles of disambiguation pages stand in
no row: a link to one is a link to nothing in particular.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nerbert.corpus.knowledge.answers import DISAMBIGUATION, Claim, ClassPath, TypedTitle
from nerbert.corpus.knowledge.hashed import HASHED, Rows, read_ranges, spill, starts_of
from nerbert.corpus.knowledge.mapped import Mapped, write_mapped
from nerbert.errors import InputError

_MOST_CLASSES, _MOST_SOURCES = 1 << 16, 1 << 10
_RANK, _BEHIND = 52, 45
"""Bits of a claim's key: above, the rank of its source; then how far it stands back there; then its number."""

TYPES = pa.schema([*HASHED, ("class", pa.uint16()), ("source", pa.uint16())])
"""Rows sorted by hash and title; `class` and `source` are places in the metadata's `classes` and `sources`."""
_ROW = pa.schema([("title", pa.string()), ("key", pa.int64()), ("class", pa.uint16())])


class TypeTable:
    """The table, mapped; `classes` are paths from the root."""

    def __init__(self, path: Path) -> None:
        self._table = Mapped(path, TYPES)
        classes, sources = self._table.facts.get("classes"), self._table.facts.get("sources")
        if not isinstance(classes, list) or not all(map(_is_names, classes)) or not _is_names(sources):
            raise InputError(f"{path}: its metadata names no classes or sources; build the corpus again")
        self.classes: tuple[ClassPath, ...] = tuple(map(tuple, classes))
        self.sources: tuple[str, ...] = tuple(sources)

    def __len__(self) -> int:
        return len(self._table)

    def places_of(self, titles: Sequence[str]) -> tuple[Rows, Rows]:
        """The places of each title's class and source in `classes` and `sources`; -1 for titles without a class."""
        rows = self._table.rows_of(titles)
        there = np.flatnonzero(rows >= 0)
        return self._places("class", rows, there, self.classes), self._places("source", rows, there, self.sources)

    def types_of(self, titles: Sequence[str]) -> dict[str, TypedTitle]:
        """Those of `titles` that have a class, with it."""
        classes, sources = self.places_of(titles)
        return {
            title: TypedTitle(self.classes[place], self.sources[source])
            for title, place, source in zip(titles, classes.tolist(), sources.tolist(), strict=True)
            if place >= 0
        }

    def _places(self, column: str, rows: Rows, there: Rows, names: Sequence[Any]) -> Rows:
        places = np.full(len(rows), -1, np.int64)
        if len(there):
            places[there] = self._table.take(column, rows[there]).to_numpy()
        if len(places) and places.max() >= len(names):
            raise InputError(f"{self._table.path}: damaged ({column} {places.max()}); build the corpus again")
        return places


@dataclass(slots=True)
class Decided:
    """By source: the titles that have their class from it, from one before it, and none since they disambiguate."""

    typed: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    barred: npt.NDArray[np.int64]
    disambiguation_pages: int = 0


@dataclass(slots=True)
class _Numbers:
    """Class paths numbered as they come."""

    numbers: dict[ClassPath, int] = field(default_factory=dict)

    def of(self, path: ClassPath) -> int:
        number = self.numbers.setdefault(path, len(self.numbers))
        if number >= _MOST_CLASSES:
            raise InputError(
                f"the knowledge names more than {_MOST_CLASSES} classes, at last {path[-1]!r:.60}: "
                "are these classes? give an ontology, or leave that table out"
            )
        return number


def write_types(claims: Iterable[tuple[int, Claim]], names: Sequence[str], path: Path, scratch: Path) -> Decided:
    """Write the table of what sources claim, each claim with the place of its source in `names`.

    The sources stand in order of precedence; claims of one source in the order in which they count.
    """
    if len(names) > _MOST_SOURCES:
        raise InputError(f"{len(names)} files give titles a class; {_MOST_SOURCES} may: join some")
    scratch.mkdir()
    classes, count = _Numbers(), len(names)
    runs = spill(_keyed(claims, classes), _ROW, scratch, _once_a_source)
    decided = Decided(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64))
    paths, sources = sorted(classes.numbers.keys() - {DISAMBIGUATION}), sorted(set(names))
    new_classes = np.zeros(max(1, len(classes.numbers)), np.uint16)
    new_classes[[classes.numbers[each] for each in paths]] = np.arange(len(paths))
    new_sources = np.array([sources.index(name) for name in names], np.uint16)
    tables = (
        pa.table(
            [each["hash"], each["title"], new_classes[each["class"].to_numpy()], new_sources[_rank(each) - 1]], TYPES
        )
        for each in _decide(read_ranges(runs, _once_a_source), decided)
    )
    write_mapped(tables, TYPES, {"kind": "knowledge", "classes": paths, "sources": sources}, path)
    rmtree(scratch)
    return decided


def _keyed(claims: Iterable[tuple[int, Claim]], classes: _Numbers) -> Iterator[tuple[str, int, int]]:
    """Rows whose keys sort as they count; rank 0 is that of disambiguation pages."""
    for number, (source, (title, behind, path)) in enumerate(claims):
        rank = 0 if path == DISAMBIGUATION else source + 1
        yield title, rank << _RANK | behind << _BEHIND | number, classes.of(path)


def _rank(table: pa.Table) -> Rows:
    ranks: Rows = table["key"].to_numpy() >> _RANK
    return ranks


def _once_a_source(table: pa.Table) -> pa.Table:
    ranks = pa.chunked_array([_rank(table)])
    return table.filter(pa.array(starts_of(table["hash"], table["title"], ranks)))


def _decide(tables: Iterable[pa.Table], decided: Decided) -> Iterator[pa.Table]:
    """Keep each title's first claim, unless that says that it disambiguates; count all."""
    for table in tables:
        starts, ranks = starts_of(table["hash"], table["title"]), _rank(table)
        barred = (ranks[starts] == 0)[np.cumsum(starts) - 1]
        wins, of_source = starts & ~barred, ranks > 0
        places, count = ranks - 1, len(decided.typed)
        decided.typed += np.bincount(places[wins], minlength=count)
        decided.lost += np.bincount(places[~starts & ~barred], minlength=count)
        decided.barred += np.bincount(places[barred & of_source], minlength=count)
        decided.disambiguation_pages += int((starts & barred).sum())
        yield table.filter(pa.array(wins))


def _is_names(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
