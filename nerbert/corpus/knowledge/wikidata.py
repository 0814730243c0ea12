"""Wikidata as a source of classes: `instance of`, then up `subclass of` to a class that equals one of DBpedia's.

DBpedia's ontology says which item equals a class (`owl:equivalentClass = wikidata:Q5`), so no extra table is needed.
The cost: items below no such class stay unknown. A source must also link pages to items: `latest-all` does, as
N-Triples and as JSON; the truthy dump does not, and needs the table `wb_items_per_site`.

An item's classes and its title can be anywhere in a dump, so the database joins them. Parents of classes stay in
memory (some five million, 8 bytes each). A breadth-first search runs down `subclass of` from all classes with an
equivalent at once, so each edge is followed once and cycles end by themselves. The cost: distance is counted in
Wikidata's steps, which are short in some fields and long in others, and has no limit. Nothing depends on the order of
the dump: of equals, the lowest number counts.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Answer, ClaimCounts, ClassPath
from nerbert.corpus.knowledge.database import Database, insert
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.wikidata_dumps import HIGHEST, Wiki, read_json, read_links, read_triples
from nerbert.errors import InputError
from nerbert.sources.files import FoundFile

_Ints: TypeAlias = npt.NDArray[np.int64]
_DISAMBIGUATION = (4167410,)
"""Wikimedia disambiguation page."""
_INTERNAL = (17442446, 4167836, 13406463, 11266439)
"""Wikimedia internal item, category, list article, template."""
_NONE = 1 << 40
"""Marks a class without an equivalent; larger than any distance."""
_ROWS = 1 << 16
_CLASSES = pa.schema([("item", pa.uint32()), ("class", pa.uint32())])
_TITLES = pa.schema([("item", pa.uint32()), ("title", pa.string())])
_ORDERED = pa.schema([("class", pa.uint32()), ("place", pa.int64())])
_TABLES = {"wikidata_classes": _CLASSES, "wikidata_titles": _TITLES, "wikidata_ordered": _ORDERED}
_JUDGE = """
SELECT title, min(coalesce(place, $ordered + class))
FROM wikidata_titles LEFT JOIN wikidata_classes USING (item) LEFT JOIN wikidata_ordered USING (class)
GROUP BY item, title ORDER BY item, title
"""


class Sort(IntEnum):
    """What an item is; of an item's classes, the first sort in this order counts."""

    DISAMBIGUATION = 0
    INTERNAL = 1
    CLASSED = 2
    UNKNOWN = 3


class Items:
    """The facts of a dump: classes of items and titles, which go into tables, and parents of classes."""

    def __init__(self, database: Database) -> None:
        self.links = 0
        self.parents = array("I")
        self._database = database
        self._classes: list[tuple[int, int]] = []
        self._titles: list[tuple[int, str]] = []

    def add_class(self, item: int, name: int) -> None:
        """Store that `item` is an instance of `name`."""
        self._classes.append((item, name))
        if len(self._classes) >= _ROWS:
            self.flush()

    def add_parent(self, name: int, parent: int) -> None:
        """Store that the class `name` is a subclass of `parent`."""
        self.parents.extend((name, parent))

    def add_title(self, item: int, title: str) -> None:
        """Store that a page of the wiki is about `item`."""
        self.links += 1
        self._titles.append((item, title))
        if len(self._titles) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Move what was stored to the tables."""
        insert(self._database, "wikidata_classes", self._classes, _CLASSES)
        insert(self._database, "wikidata_titles", self._titles, _TITLES)
        self._classes, self._titles = [], []


class WikidataClasses:
    """Wikidata's classes, mapped to DBpedia's.

    `ordered` has the known classes' numbers: of an item's classes the first in this order counts, that with the deepest
    path, of equals the nearest, then the lowest number. Within, classes are in order of their numbers, each with the
    indices of its subclasses.
    """

    def __init__(self, parents: npt.NDArray[np.uint32], ontology: Ontology) -> None:
        paths = {int(item[1:]): ontology.path(name) for item, name in ontology.equivalents.items()}
        known = sorted((name for name in paths if paths[name] and name <= HIGHEST), key=lambda n: (-len(paths[n]), n))
        self._paths = [paths[name] for name in known]
        self._names = np.unique(np.append(parents, [*known, *_DISAMBIGUATION, *_INTERNAL]).astype(np.int64))
        above = np.searchsorted(self._names, parents[:, 1])
        order = np.argsort(above, kind="stable")
        self._starts = np.searchsorted(above[order], np.arange(len(self._names) + 1))
        self._below = np.searchsorted(self._names, parents[:, 0])[order]
        rank, far = self._spread({name: rank for rank, name in enumerate(known)})
        sort = np.where(rank < _NONE, Sort.CLASSED, Sort.UNKNOWN)
        for special, roots in ((Sort.INTERNAL, _INTERNAL), (Sort.DISAMBIGUATION, _DISAMBIGUATION)):
            sort[self._spread(dict.fromkeys(roots, 0))[1] < _NONE] = special
        rank[sort != Sort.CLASSED], far[sort != Sort.CLASSED] = len(known), 0
        depth = np.array([*map(len, self._paths), 0], dtype=np.int64)
        order = np.lexsort((self._names, far, -depth[rank], sort))
        order = order[sort[order] != Sort.UNKNOWN]
        self.ordered: _Ints = self._names[order]
        self._sort, self._rank = sort[order], rank[order]

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

    def answer(self, place: int | None) -> Answer:
        """Return the class path at a place of `ordered`; behind it are the numbers of unknown classes."""
        if place is None:
            return True, ()
        if place >= len(self.ordered):
            return False, (f"Q{place - len(self.ordered)}",)
        match self._sort[place]:
            case Sort.CLASSED:
                return True, self._paths[self._rank[place]]
            case Sort.DISAMBIGUATION:
                return True, DISAMBIGUATION
        return True, ()


def wikidata_rows(
    database: Database,
    found: FoundFile,
    kind: SourceKind,
    wiki: Wiki,
    ontology: Ontology,
    tally: ClaimCounts,
    table: tuple[FoundFile, ClaimCounts] | None = None,
) -> Iterator[tuple[str, ClassPath]]:
    """Yield the wiki's titles with their classes, DISAMBIGUATION for such pages; the database takes gigabytes.

    `table` is the file of links for a dump without any, with its own counts.

    Each title counts as a row. Titles without `instance of` and Wikimedia's own pages (categories, lists, templates)
    are valid but untyped. A title whose classes lead to none of DBpedia's has an unknown class, named by the lowest of
    them.
    """
    for name, schema in _TABLES.items():
        database.execute(f"DROP TABLE IF EXISTS {name}")
        insert(database, name, (), schema)
    items = Items(database)
    if table:
        read_links(table[0].path, wiki.site, items, _bad(table[0], table[1], "byte "))
        table[1].rows += items.links
    (read_json if kind == SourceKind.WIKIDATA_JSON else read_triples)(found.path, wiki, items, _bad(found, tally))
    if not items.links:
        raise InputError(f"{(table or (found,))[0].path}: no item has a page of {wiki.site}; name the right wiki "
                         "(--set wiki=…), or give a dump with all links, latest-all.nt or latest-all.json"
                         )  # fmt: skip
    items.flush()
    classes = WikidataClasses(np.array(items.parents, dtype=np.uint32).reshape(-1, 2), ontology)
    insert(
        database, "wikidata_ordered", ((name, place) for place, name in enumerate(classes.ordered.tolist())), _ORDERED
    )
    rows = database.execute(_JUDGE, {"ordered": len(classes.ordered)})
    while some := rows.fetchmany(_ROWS):
        for title, place in some:
            known, path = answer = classes.answer(place)
            tally.good(answer)
            if known and path:
                yield title, path


def _bad(found: FoundFile, tally: ClaimCounts, unit: str = "") -> Callable[[int, bytes], None]:
    """Return a function that counts a broken line or row of a file, and stores its position."""
    return lambda place, text: tally.bad(f"{found.name}:{unit}{place}: {text[:200].decode('utf-8', 'replace')}")
