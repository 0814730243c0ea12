"""Map Wikidata items to DBpedia classes: that of the nearest superclass that equals one of DBpedia's.

A breadth-first search runs down `subclass of` from all classes with an equivalent at once, so each edge is followed
once and cycles end by themselves. The cost: distance is counted in Wikidata's steps, which are short in some fields and
long in others, and has no limit. Nothing depends on the order of the dump: of equals, the lowest number counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nerbert.corpus.knowledge.claims import ClassPath
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.wikidata_items import HIGHEST, Pairs

_Ints: TypeAlias = npt.NDArray[np.int64]
_DISAMBIGUATION = (4167410,)
"""Wikimedia disambiguation page."""
_INTERNAL = (17442446, 4167836, 13406463, 11266439)
"""Wikimedia internal item, category, list article, template."""
_NONE = 1 << 40
"""Marks a class without an equivalent; larger than any distance."""


class Sort(IntEnum):
    """What an item is; of an item's classes, the first sort in this order counts."""

    DISAMBIGUATION = 0
    INTERNAL = 1
    CLASSED = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an item is: its sort, the path if it is classed, and the Wikidata class that decided."""

    sort: Sort
    path: ClassPath
    said_by: int


@dataclass(frozen=True, slots=True)
class Edges:
    """Classes in order of their numbers, and for each the indices of its direct subclasses."""

    names: _Ints
    starts: _Ints
    below: _Ints

    @classmethod
    def of(cls, parents: Pairs, more: Sequence[int]) -> "Edges":
        """Return the edges of pairs of class and parent; `more` are classes to include even without an edge."""
        names = np.unique(np.append(parents.ravel().astype(np.int64), np.array(more, dtype=np.int64)))
        above = np.searchsorted(names, parents[:, 1])
        order = np.argsort(above, kind="stable")
        starts = np.searchsorted(above[order], np.arange(len(names) + 1))
        return cls(names, starts, np.searchsorted(names, parents[:, 0])[order])

    def places(self, names: Sequence[int]) -> _Ints:
        """Return the indices of classes, which must all exist."""
        return np.searchsorted(self.names, np.array(names, dtype=np.int64))

    def spread(self, ranks: Mapping[int, int]) -> tuple[_Ints, _Ints]:
        """Return each class's lowest rank among the nearest ranked classes at or above it, and their distance."""
        rank, far = (np.full(len(self.names), _NONE, dtype=np.int64) for _ in range(2))
        reached = self.places(sorted(ranks))
        rank[reached] = [ranks[name] for name in sorted(ranks)]
        step = 0
        while reached.size:
            far[reached] = step
            counts = self.starts[reached + 1] - self.starts[reached]
            skipped = np.repeat(self.starts[reached] - np.cumsum(counts) + counts, counts)
            found = self.below[skipped + np.arange(counts.sum())]
            given = np.repeat(rank[reached], counts)
            new = far[found] == _NONE
            np.minimum.at(rank, found[new], given[new])
            reached, step = np.unique(found[new]), step + 1
        return rank, far


class WikidataClasses:
    """Wikidata's classes, mapped to DBpedia's."""

    def __init__(self, parents: Pairs, ontology: Ontology) -> None:
        paths = {int(item[1:]): ontology.path(name) for item, name in ontology.equivalents.items()}
        known = sorted((name for name in paths if paths[name] and name <= HIGHEST), key=lambda n: (-len(paths[n]), n))
        self._paths = [paths[name] for name in known]
        self._edges = Edges.of(parents, [*known, *_DISAMBIGUATION, *_INTERNAL])
        self._rank, self._far = self._edges.spread({name: rank for rank, name in enumerate(known)})
        self._sort = np.where(self._rank < _NONE, Sort.CLASSED, Sort.UNKNOWN)
        for sort, roots in ((Sort.INTERNAL, _INTERNAL), (Sort.DISAMBIGUATION, _DISAMBIGUATION)):
            self._sort[self._edges.spread(dict.fromkeys(roots, 0))[1] < _NONE] = sort
        self._depth = np.array([*map(len, self._paths), 0], dtype=np.int64)

    def judge(self, pairs: Pairs) -> dict[int, Verdict]:
        """Judge each item by its classes: the deepest path, of equals the nearest, then the lowest number."""
        items, names = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
        place = np.minimum(np.searchsorted(self._edges.names, names), len(self._edges.names) - 1)
        there = self._edges.names[place] == names
        sort = np.where(there, self._sort[place], Sort.UNKNOWN)
        rank = np.where(sort == Sort.CLASSED, self._rank[place], len(self._paths))
        far = np.where(sort == Sort.CLASSED, self._far[place], 0)
        order = np.lexsort((names, far, -self._depth[rank], sort, items))
        _, firsts = np.unique(items[order], return_index=True)
        chosen = order[firsts]
        columns = (column[chosen].tolist() for column in (items, sort, rank, names))
        return {item: self._verdict(Sort(kind), best, name) for item, kind, best, name in zip(*columns, strict=True)}

    def _verdict(self, sort: Sort, rank: int, said_by: int) -> Verdict:
        return Verdict(sort, self._paths[rank] if sort == Sort.CLASSED else (), said_by)
