"""`knowledge.arrow`: each title's class and the source that gave it, decided once for all workers of a corpus.

The claims of all sources are sorted by title on disk, and the claim of the source with the highest precedence is kept.
Memory therefore does not grow with the titles, neither here nor in look-ups. Classes and sources are numbers whose
names are in the file's metadata, which limits the count of both. A disambiguation page has a row without a class: a
link to it names nothing in particular, whatever is known of a title that redirects to it. Lists of such pages become
outdated: an article of the dump whose infobox has a class is no disambiguation page, unless its own page says so.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Claim, ClassPath
from nerbert.corpus.knowledge.external_sort import HASHED, Rows, read_ranges, spill, starts_of
from nerbert.corpus.knowledge.mmap_table import Mapped, write_mapped
from nerbert.errors import InputError

_MOST_CLASSES, _MOST_SOURCES = 1 << 16, 1 << 10
_RANK, _BEHIND = 52, 45
"""Bit offsets of a claim's key: the rank of its source, the claim's priority within the source, its number.

If the priority is not 0, a hash of the class replaces the number.
"""
ABSENT, BARRED = -1, -2
"""Values for a title about which nothing is known, and for a disambiguation page."""

TYPES = pa.schema([*HASHED, ("class", pa.uint16()), ("source", pa.uint16())])
"""Rows sorted by hash and title; `class` and `source` index the metadata's `classes` and `sources`.

Both are null for disambiguation pages.
"""
_ROW = pa.schema([("title", pa.string()), ("key", pa.int64()), ("class", pa.uint16())])


class TypeTable:
    """The memory-mapped table; `classes` are paths from the root."""

    def __init__(self, path: Path) -> None:
        self._table = Mapped(path, TYPES)
        classes, sources = self._table.facts.get("classes"), self._table.facts.get("sources")
        if not isinstance(classes, list) or not all(map(_is_names, classes)) or not _is_names(sources):
            raise InputError(f"{path}: its metadata names no classes or sources; build the corpus again")
        self.classes: tuple[ClassPath, ...] = tuple(map(tuple, classes))
        self.sources: tuple[str, ...] = tuple(sources)

    def places_of(self, titles: Sequence[str]) -> tuple[Rows, Rows]:
        """Return the index of each title's class in `classes` and source in `sources`; else ABSENT or BARRED."""
        rows = self._table.rows_of(titles)
        there = np.flatnonzero(rows >= 0)
        return self._places("class", rows, there, self.classes), self._places("source", rows, there, self.sources)

    def places_at_end(self, titles: Sequence[str], ends: Sequence[str]) -> tuple[Rows, Rows]:
        """Return `places_of` the redirects' `ends`, or of the titles where the end is unknown; else ABSENT.

        So a page that was moved after the knowledge was made keeps its class.
        """
        classes, sources = self.places_of(ends)
        moved = [place for place in np.flatnonzero(classes == ABSENT).tolist() if titles[place] != ends[place]]
        if moved:
            classes[moved], sources[moved] = self.places_of([titles[place] for place in moved])
        return np.maximum(classes, ABSENT), np.maximum(sources, ABSENT)

    def _places(self, column: str, rows: Rows, there: Rows, names: Sequence[Any]) -> Rows:
        places = np.full(len(rows), ABSENT, np.int64)
        if len(there):
            places[there] = pc.fill_null(self._table.take(column, rows[there]).cast(pa.int64()), BARRED).to_numpy()
        if len(places) and places.max() >= len(names):
            raise InputError(f"{self._table.path}: damaged ({column} {places.max()}); build the corpus again")
        return places


@dataclass(slots=True)
class Decided:
    """Counts by source: titles typed by it, typed by an earlier source, and untyped as disambiguation pages."""

    typed: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    barred: npt.NDArray[np.int64]
    disambiguation_pages: int = 0


def check_sources(count: int) -> None:
    """Raise InputError for more sources than the table can name."""
    if count > _MOST_SOURCES:
        raise InputError(f"{count} files give titles a class; {_MOST_SOURCES} may: join some")


def write_types(
    claims: Iterable[tuple[int, Claim]],
    names: Sequence[str],
    path: Path,
    scratch: Path,
    shown: Collection[int] = (),
) -> Decided:
    """Write the table of the sources' claims, each with the index of its source in `names`.

    The sources are in order of precedence. Those in `shown` read the dump's own pages, so no list of disambiguation
    pages overrides their titles.
    """
    check_sources(len(names))
    scratch.mkdir()
    classes, count = dict[ClassPath, int](), len(names)
    runs = spill(_keyed(claims, classes), _ROW, scratch, _once_a_source)
    decided = Decided(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64))
    paths, sources = sorted(classes.keys() - {DISAMBIGUATION}), sorted(set(names))
    new_classes = np.zeros(max(1, len(classes)), np.uint16)
    new_classes[[classes[each] for each in paths]] = np.arange(len(paths))
    new_sources = np.array([sources.index(name) for name in names], np.uint16)
    is_shown = np.isin(np.arange(count + 1), [place + 1 for place in shown])
    tables = (
        _table(each, new_classes, new_sources) for each in _decide(read_ranges(runs, _once_a_source), decided, is_shown)
    )
    write_mapped(tables, TYPES, {"kind": "knowledge", "classes": paths, "sources": sources}, path)
    rmtree(scratch)
    return decided


def _table(rows: pa.Table, classes: npt.NDArray[np.uint16], sources: npt.NDArray[np.uint16]) -> pa.Table:
    """Return rows as the file has them; `classes` and `sources` map old numbers to new ones."""
    ranks = _rank(rows)
    barred = ranks == 0
    named = [
        pa.array(classes[rows["class"].to_numpy()], mask=barred),
        pa.array(sources[np.maximum(ranks, 1) - 1] if len(sources) else np.zeros(len(ranks), np.uint16), mask=barred),
    ]
    return pa.table([rows["hash"], rows["title"], *named], TYPES)


def _keyed(claims: Iterable[tuple[int, Claim]], classes: dict[ClassPath, int]) -> Iterator[tuple[str, int, int]]:
    """Yield rows whose keys sort by precedence, and number the class paths; rank 0 is for disambiguation pages."""
    for number, (source, (title, behind, path)) in enumerate(claims):
        rank = 0 if path == DISAMBIGUATION else source + 1
        key = rank << _RANK | behind << _BEHIND | (_drawn(path) if behind else number)
        if (class_ := classes.setdefault(path, len(classes))) >= _MOST_CLASSES:
            raise InputError(
                f"the knowledge names more than {_MOST_CLASSES} classes, at last {path[-1]!r:.60}: are these classes? "
                "leave that table out, or give an ontology where there is none, which leaves out what it doesn't name"
            )
        yield title, key, class_


@lru_cache(maxsize=4096)
def _drawn(path: ClassPath) -> int:
    """Hash a class path, so that the choice among equal claims does not depend on their order."""
    return int.from_bytes(blake2b("\n".join(path).encode(), digest_size=8).digest()) >> 64 - _BEHIND


def _rank(table: pa.Table) -> Rows:
    ranks: Rows = table["key"].to_numpy() >> _RANK
    return ranks


def _once_a_source(table: pa.Table) -> pa.Table:
    ranks = pa.chunked_array([_rank(table)])
    return table.filter(pa.array(starts_of(table["hash"], table["title"], ranks)))


def _decide(tables: Iterable[pa.Table], decided: Decided, is_shown: npt.NDArray[np.bool_]) -> Iterator[pa.Table]:
    """Keep each title's first claim and count all; `is_shown` says which ranks are the dump's own pages.

    A disambiguation claim precedes all others, unless it is from a list and the dump's page contradicts it.
    """
    for table in tables:
        starts, ranks = starts_of(table["hash"], table["title"]), _rank(table)
        of_title = np.cumsum(starts) - 1
        listed = starts & (ranks == 0) & (table["key"].to_numpy() >> _BEHIND > 0)
        shows = np.bincount(of_title, is_shown[ranks]) > 0
        wrong = listed & shows[of_title]
        firsts = (starts & ~wrong) | np.append(False, wrong[:-1])
        barred = (ranks[firsts] == 0)[of_title]
        of_source, places, count = ranks > 0, ranks - 1, len(decided.typed)
        decided.typed += np.bincount(places[firsts & ~barred], minlength=count)
        decided.lost += np.bincount(places[~firsts & ~barred & of_source], minlength=count)
        decided.barred += np.bincount(places[barred & of_source], minlength=count)
        decided.disambiguation_pages += int((firsts & barred).sum())
        yield table.filter(pa.array(firsts))


def _is_names(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
