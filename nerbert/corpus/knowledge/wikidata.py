"""Wikidata as a source of classes: `instance of`, then up `subclass of` to a class that equals one of DBpedia's.

DBpedia's ontology says which item equals a class (`owl:equivalentClass = wikidata:Q5`), so no extra table is needed.
The cost: items below no such class stay unknown. A source must also link pages to items: `latest-all` does, as
N-Triples and as JSON; the truthy dump does not, and needs the table `wb_items_per_site`.

A breadth-first search runs down `subclass of` from all classes with an equivalent at once, so each edge is followed
once and cycles end by themselves. The cost: distance is counted in Wikidata's steps, which are short in some fields and
long in others, and has no limit. Nothing depends on the order of the dump: of equals, the lowest number counts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Answer, ClaimCounts, ClassPath
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.wikidata_dumps import Wiki, read_json, read_links, read_triples
from nerbert.corpus.knowledge.wikidata_items import HIGHEST, Items, Pairs
from nerbert.errors import InputError
from nerbert.sources.files import FoundFile

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


class WikidataClasses:
    """Wikidata's classes, mapped to DBpedia's: in order of their numbers, each with the indices of its subclasses."""

    def __init__(self, parents: Pairs, ontology: Ontology) -> None:
        paths = {int(item[1:]): ontology.path(name) for item, name in ontology.equivalents.items()}
        known = sorted((name for name in paths if paths[name] and name <= HIGHEST), key=lambda n: (-len(paths[n]), n))
        self._paths = [paths[name] for name in known]
        self._names = np.unique(np.append(parents, [*known, *_DISAMBIGUATION, *_INTERNAL]).astype(np.int64))
        above = np.searchsorted(self._names, parents[:, 1])
        order = np.argsort(above, kind="stable")
        self._starts = np.searchsorted(above[order], np.arange(len(self._names) + 1))
        self._below = np.searchsorted(self._names, parents[:, 0])[order]
        self._rank, self._far = self._spread({name: rank for rank, name in enumerate(known)})
        self._sort = np.where(self._rank < _NONE, Sort.CLASSED, Sort.UNKNOWN)
        for sort, roots in ((Sort.INTERNAL, _INTERNAL), (Sort.DISAMBIGUATION, _DISAMBIGUATION)):
            self._sort[self._spread(dict.fromkeys(roots, 0))[1] < _NONE] = sort
        self._depth = np.array([*map(len, self._paths), 0], dtype=np.int64)

    def _spread(self, ranks: Mapping[int, int]) -> tuple[_Ints, _Ints]:
        """Return each class's lowest rank among the nearest ranked classes at or above it, and their distance."""
        rank, far = (np.full(len(self._names), _NONE, dtype=np.int64) for _ in range(2))
        reached = np.searchsorted(self._names, np.array(sorted(ranks), dtype=np.int64))
        rank[reached] = [ranks[name] for name in sorted(ranks)]
        step = 0
        while reached.size:
            far[reached] = step
            counts = self._starts[reached + 1] - self._starts[reached]
            skipped = np.repeat(self._starts[reached] - np.cumsum(counts) + counts, counts)
            found = self._below[skipped + np.arange(counts.sum())]
            given = np.repeat(rank[reached], counts)
            new = far[found] == _NONE
            np.minimum.at(rank, found[new], given[new])
            reached, step = np.unique(found[new]), step + 1
        return rank, far

    def judge(self, pairs: Pairs) -> dict[int, Answer]:
        """Judge each item by its classes: the deepest path, of equals the nearest, then the lowest number.

        A class that leads to none of DBpedia's is unknown, and named by its number.
        """
        items, names = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
        place = np.minimum(np.searchsorted(self._names, names), len(self._names) - 1)
        there = self._names[place] == names
        sort = np.where(there, self._sort[place], Sort.UNKNOWN)
        rank = np.where(sort == Sort.CLASSED, self._rank[place], len(self._paths))
        far = np.where(sort == Sort.CLASSED, self._far[place], 0)
        order = np.lexsort((names, far, -self._depth[rank], sort, items))
        _, firsts = np.unique(items[order], return_index=True)
        chosen = order[firsts]
        columns = (column[chosen].tolist() for column in (items, sort, rank, names))
        return {item: self._answer(Sort(kind), best, name) for item, kind, best, name in zip(*columns, strict=True)}

    def _answer(self, sort: Sort, rank: int, name: int) -> Answer:
        match sort:
            case Sort.UNKNOWN:
                return False, (f"Q{name}",)
            case Sort.CLASSED:
                return True, self._paths[rank]
            case Sort.DISAMBIGUATION:
                return True, DISAMBIGUATION
        return True, ()


def wikidata_rows(
    found: FoundFile,
    kind: SourceKind,
    wiki: Wiki,
    ontology: Ontology,
    tally: ClaimCounts,
    scratch: Path,
    table: tuple[FoundFile, ClaimCounts] | None = None,
) -> Iterator[tuple[str, ClassPath]]:
    """Yield the wiki's titles with their classes, DISAMBIGUATION for such pages; `scratch` takes gigabytes.

    `table` is the file of links for a dump without any, with its own counts.

    Each title counts as a row. Titles without `instance of` and Wikimedia's own pages (categories, lists, templates)
    are valid but untyped. A title whose classes lead to none of DBpedia's has an unknown class, named by the lowest of
    them.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with closing(Items(scratch)) as items:
        if table:
            read_links(table[0].path, wiki.site, items, _bad(table[0], table[1], "byte "))
            table[1].rows += items.links
        (read_json if kind == SourceKind.WIKIDATA_JSON else read_triples)(found.path, wiki, items, _bad(found, tally))
        if not items.links:
            raise InputError(f"{(table or (found,))[0].path}: no item has a page of {wiki.site}; name the right wiki "
                             "(--set wiki=…), or give a dump with all links, latest-all.nt or latest-all.json"
                             )  # fmt: skip
        classes = WikidataClasses(items.parents(), ontology)
        for pairs, titles in items.parts():
            answers = classes.judge(pairs)
            for item, title in titles:
                known, path = answer = answers.get(item, (True, ()))
                tally.good(answer)
                if known and path:
                    yield title, path


def _bad(found: FoundFile, tally: ClaimCounts, unit: str = "") -> Callable[[int, bytes], None]:
    """Return a function that counts a broken line or row of a file, and stores its position."""
    return lambda place, text: tally.bad(f"{found.name}:{unit}{place}: {text[:200].decode('utf-8', 'replace')}")
