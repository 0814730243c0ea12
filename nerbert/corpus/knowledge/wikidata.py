"""Wikidata as a source of classes: `instance of`, then up `subclass of` to a class that equals one of DBpedia's.

Titles are kept in the database, parents of classes in memory (about five million, 8 bytes each).
"""

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AliasPath, Field
from typing_extensions import TypedDict  # Python 3.11's own lacks what pydantic needs

from nerbert.corpus.dump.sites import normalise_title, wiki_codes
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, LONGEST_TITLE, Answer, ClaimCounts
from nerbert.corpus.knowledge.database import Database, insert
from nerbert.corpus.knowledge.exports import Ontology
from nerbert.errors import InputError
from nerbert.schema import parse_json
from nerbert.sources.files import FoundFile, read_blocks

_Ints: TypeAlias = npt.NDArray[np.int64]
_Bad: TypeAlias = Callable[[int, bytes], None]
"""Receives the number and the start of a broken line."""
HIGHEST = (1 << 32) - 1
"""The highest number of an item."""
LONGEST_LINE = 32 << 20
"""Maximum bytes of a line; the entities with the most statements have several million."""
_ID = re.compile(r"Q([1-9][0-9]{0,9})")
_DISAMBIGUATION = (4167410,)
"""Item of Wikimedia's disambiguation pages."""
_INTERNAL = (17442446, 4167836, 13406463, 11266439)
"""Items of Wikimedia's internal items, categories, list articles and templates."""
_NONE = 1 << 40
"""Marks a class without an equivalent; larger than any distance."""
_ROWS = 1 << 16
_ITEMS = pa.schema([("item", pa.uint32()), ("title", pa.string()), ("class", pa.uint32())])
_ORDERED = pa.schema([("class", pa.uint32()), ("place", pa.int64())])
_JUDGE = """
SELECT title, min(coalesce(place, $ordered + class))
FROM wikidata_items LEFT JOIN wikidata_ordered USING (class)
GROUP BY item, title ORDER BY item, title
"""


@dataclass(frozen=True, slots=True)
class _Statement:
    rank: str
    snak_type: Annotated[str, Field(validation_alias=AliasPath("mainsnak", "snaktype"))]
    item: Annotated[str, Field(validation_alias=AliasPath("mainsnak", "datavalue", "value", "id"))] = ""


class _Link(TypedDict):
    title: str


@dataclass(frozen=True, slots=True)
class _Entity:
    """The used parts of an entity; PHP writes {} as []."""

    id: str
    classes: Annotated[tuple[_Statement, ...], Field(validation_alias=AliasPath("claims", "P31"))] = ()
    parents: Annotated[tuple[_Statement, ...], Field(validation_alias=AliasPath("claims", "P279"))] = ()
    sitelinks: Mapping[str, _Link] | tuple[()] | None = None


class Sort(IntEnum):
    """Sorts of items; of an item's classes, the first sort in this order counts."""

    DISAMBIGUATION = 0
    INTERNAL = 1
    CLASSED = 2
    UNKNOWN = 3


class WikidataClasses:
    """Wikidata's classes, mapped to DBpedia's.

    `ordered` has the numbers of the known classes. Of an item's classes, the first in this order counts: the one with
    the deepest path, then the nearest, then the lowest number.
    """

    def __init__(self, parents: npt.NDArray[np.uint32], ontology: Ontology) -> None:
        paths = {int(item[1:]): ontology.path(name) for item, name in ontology.equivalents.items()}
        # Deepest path first, then the lowest number, so that a rank compares two classes
        known = sorted((name for name in paths if paths[name] and name <= HIGHEST), key=lambda n: (-len(paths[n]), n))
        self._paths = [paths[name] for name in known]
        self._names = np.unique(np.append(parents, [*known, *_DISAMBIGUATION, *_INTERNAL]).astype(np.int64))
        # The children of each class, grouped by parent: `_below[_starts[i]:_starts[i + 1]]`
        above = np.searchsorted(self._names, parents[:, 1])
        order = np.argsort(above, kind="stable")
        self._starts = np.searchsorted(above[order], np.arange(len(self._names) + 1))
        self._below = np.searchsorted(self._names, parents[:, 0])[order]
        rank, far = self._spread({name: rank for rank, name in enumerate(known)})
        sort = np.where(rank < _NONE, Sort.CLASSED, Sort.UNKNOWN)
        # In this order, so that a disambiguation page counts as one even if it is internal, too
        for special, roots in ((Sort.INTERNAL, _INTERNAL), (Sort.DISAMBIGUATION, _DISAMBIGUATION)):
            sort[self._spread(dict.fromkeys(roots, 0))[1] < _NONE] = special
        # Rank and distance must not order the classes of other sorts
        rank[sort != Sort.CLASSED], far[sort != Sort.CLASSED] = len(known), 0
        depth = np.array([*map(len, self._paths), 0], dtype=np.int64)
        order = np.lexsort((self._names, far, -depth[rank], sort))
        # Items of unknown classes need no index: `answer` gets their numbers instead
        order = order[sort[order] != Sort.UNKNOWN]
        self.ordered: _Ints = self._names[order]
        self._sort = sort[order]
        self._rank = rank[order]

    def _spread(self, ranks: Mapping[int, int]) -> tuple[_Ints, _Ints]:
        """Return, for each class, the lowest rank among the nearest ranked classes at or above it, and the distance."""
        rank, far = (np.full(len(self._names), _NONE, dtype=np.int64) for _ in range(2))
        reached = np.searchsorted(self._names, np.array(sorted(ranks), dtype=np.int64))
        rank[reached] = [ranks[name] for name in sorted(ranks)]
        step = 0
        while reached.size:
            far[reached] = step
            counts = self._starts[reached + 1] - self._starts[reached]
            skipped = np.repeat(self._starts[reached] - np.cumsum(counts) + counts, counts)
            below = self._below[skipped + np.arange(counts.sum())]
            inherited = np.repeat(rank[reached], counts)
            # A class that was reached in fewer steps keeps its rank
            new = far[below] == _NONE
            # Several parents at the same distance: the lowest rank counts
            np.minimum.at(rank, below[new], inherited[new])
            reached = np.unique(below[new])
            step += 1
        return rank, far

    def answer(self, index: int | None) -> Answer:
        """Return the class path at an index of `ordered`; indexes beyond its end are numbers of unknown classes."""
        if index is None:
            # An item without `instance of` is valid, but untyped
            return True, ()
        if index >= len(self.ordered):
            return False, (f"Q{index - len(self.ordered)}",)
        if self._sort[index] == Sort.CLASSED:
            return True, self._paths[self._rank[index]]
        return True, DISAMBIGUATION if self._sort[index] == Sort.DISAMBIGUATION else ()


def site_of(language: str, name: str = "") -> str:
    """Return Wikidata's name (`zh_yuewiki`) of the Wikipedia `name`, or, without a name, of a language's Wikipedia."""
    return wiki_codes(name, language)[0].replace("-", "_") + "wiki"


def wikidata_answers(
    database: Database, file: FoundFile, site: str, ontology: Ontology, tally: ClaimCounts
) -> Iterator[tuple[str, Answer]]:
    """Yield the titles of a wiki's pages with their answers, DISAMBIGUATION for disambiguation pages.

    Wikimedia's own pages, and those without `instance of`, are valid but untyped. A title whose classes don't lead to a
    class of DBpedia has an unknown class, named after the lowest of them.
    """
    parents = array("I")
    for table in ("wikidata_items", "wikidata_ordered"):
        database.execute(f"DROP TABLE IF EXISTS {table}")
    rows = _read_items(file.path, site, parents, partial(tally.bad_line, file.name))
    insert(database, "wikidata_items", rows, _ITEMS)
    classes = WikidataClasses(np.array(parents, dtype=np.uint32).reshape(-1, 2), ontology)
    numbered = ((name, index) for index, name in enumerate(classes.ordered.tolist()))
    insert(database, "wikidata_ordered", numbered, _ORDERED)
    judged = database.execute(_JUDGE, {"ordered": len(classes.ordered)})
    titles = 0
    while batch := judged.fetchmany(_ROWS):
        titles += len(batch)
        yield from ((title, classes.answer(index)) for title, index in batch)
    if not titles:
        raise InputError(
            f"{file.path}: no item has a page of {site}; name the right wiki (--set wiki=…), or give a "
            "dump of all entities, latest-all.json"
        )


def _read_items(path: Path, site: str, parents: "array[int]", bad: _Bad) -> Iterator[tuple[int, str, int | None]]:
    """Yield each item with a page of the site: number, title, and each class or None; append pairs to `parents`."""
    # Most lines have neither a page of the wiki nor a parent, and parsing is slow
    marks = (f'"{site}"'.encode(), b'"P279"')
    for first, block in read_blocks(path, LONGEST_LINE, lambda number: bad(number, b"a line too long")):
        for number, line in enumerate(block.split(b"\n"), first):
            if marks[0] in line or marks[1] in line:
                try:
                    entity = parse_json(line.strip().removesuffix(b","), _Entity, path)
                    item, title, classes, above = _read_facts(entity, site)
                except (ValueError, InputError):
                    bad(number, line)
                    continue
                for parent in above:
                    parents.extend((item, parent))
                # An item without classes is a valid row, too, and is counted
                if title and not classes:
                    yield item, title, None
                yield from ((item, title, name) for name in classes if title)


def _read_facts(entity: _Entity, site: str) -> tuple[int, str, list[int], list[int]]:
    """Return an item's number, the title of its page, its classes and its parents; raise ValueError if impossible."""
    item = _parse_number(entity.id)
    if not item:
        return 0, "", [], []
    # PHP writes empty links as a list
    link = entity.sitelinks.get(site) if entity.sitelinks else None
    title = normalise_title(link["title"]) if link else ""
    if link and not 0 < len(title.encode()) <= LONGEST_TITLE:
        raise ValueError
    return item, title, _find_best(entity.classes), _find_best(entity.parents)


def _find_best(statements: Sequence[_Statement]) -> list[int]:
    """Return the items in the statements of the best rank; raise ValueError for one without a value."""
    # Preferred statements hide normal ones; deprecated ones never count
    rank = "preferred" if any(statement.rank == "preferred" for statement in statements) else "normal"
    items = [statement.item for statement in statements if statement.rank == rank and statement.snak_type == "value"]
    if not all(items):
        raise ValueError
    return [number for number in map(_parse_number, items) if number]


def _parse_number(name: str) -> int:
    """Return the number of an item, 0 for a property or a lexeme."""
    match = _ID.fullmatch(name)
    number = int(match[1]) if match else 0
    if number > HIGHEST or (not match and name.startswith("Q")):
        raise ValueError
    return number
