"""Classes that a source assigns to titles, and the counts of its rows.

Claims are streamed; a title occurs as often as a source names it. Sorting (`table`) decides which claim counts: a
table's first row on a title; the deepest class of triples, since DBpedia's transitive files list all classes of a path;
the first infobox of a page that maps, refined by those that follow. A class that the ontology lacks types nothing, here
as in Wikidata. The cost: if a title has two equally deep classes (a town and a ship), only their names decide.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias, TypeVar

from nerbert.corpus.knowledge.mappings import Mappings
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.triples import LONGEST_TITLE, Pair
from nerbert.corpus.wikitext.titles import normalise_title
from nerbert.records import Infobox, Reason
from nerbert.sources.files import FoundFile, read_blocks

_BAD_ROWS_KEPT = 5
_UNKNOWN_KEPT = 10_000
_DEEPEST = 63
_LONGEST_LINE = 1 << 20
_Row = TypeVar("_Row", bound=tuple[str, ...])

ClassPath: TypeAlias = tuple[str, ...]
Answer: TypeAlias = tuple[bool, ClassPath]
"""Whether a class is known (all are without an ontology), and its path, () for owl:Thing."""
Claim: TypeAlias = tuple[str, int, ClassPath]
"""A title, the priority of the claim within its source (lower values win), and the class path.

Of claims with priority 0 the first counts; of others with equal priority, one that does not depend on their order.
"""

DISAMBIGUATION: ClassPath = ("disambiguation page",)
"""Marks a title that lists the meanings of a name and therefore has no class, whatever a source says.

No class has this name, because class names contain no blanks. Its claim has priority 0 from the dump's own page and 1
from a list.
"""


@dataclass(slots=True)
class ClaimCounts:
    """Counts of one source; `other_rows` are valid rows that type nothing (owl:Thing, labels).

    Of the titles it names, `typed` get their class from it and `lost_to_precedence` from an earlier source;
    `disambiguation_pages` get none.
    """

    sha256: str = ""
    rows: int = 0
    typed: int = 0
    lost_to_precedence: int = 0
    disambiguation_pages: int = 0
    other_rows: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    bad_rows: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    def bad(self, text: str) -> None:
        """Count a broken row, and keep its text if it is among the first."""
        self.rows += 1
        self.dropped[Reason.BAD_ROW] += 1
        if len(self.bad_rows) < _BAD_ROWS_KEPT:
            self.bad_rows.append(text)

    def good(self, answer: Answer) -> None:
        """Count a valid row by its class."""
        known, path = answer
        self.rows += 1
        if not path:
            self.other_rows += 1
        elif not known:
            self.unknown_class(path[-1])

    def unknown_class(self, name: str) -> None:
        """Count a class that the ontology lacks; names beyond the first thousands are not stored."""
        self.dropped[Reason.UNKNOWN_CLASS] += 1
        if name in self.unknown or len(self.unknown) < _UNKNOWN_KEPT:
            self.unknown[name] += 1


def read_rows(
    found: FoundFile,
    parse: Callable[[bytes], _Row | None],
    tally: ClaimCounts,
    is_header: Callable[[bytes], bool] | None = None,
) -> Iterator[_Row]:
    """Yield the valid rows of a file; count broken rows and rows with an overlong title as bad."""

    def bad(number: int, line: bytes = b"a line too long") -> None:
        tally.bad(f"{found.name}:{number}: {line[:200].decode('utf-8', 'replace')}")

    for first, block in read_blocks(found.path, _LONGEST_LINE, bad):
        for number, line in enumerate(block.split(b"\n"), first):
            if not line.strip() or (number == 1 and is_header and is_header(line)):
                continue
            row = parse(line)
            if row is None or max(map(len, row)) > LONGEST_TITLE:
                bad(number, line)
            else:
                yield row


def ask_rows(rows: Iterable[Pair], ontology: Ontology, tally: ClaimCounts, *, deepest: bool) -> Iterator[Claim]:
    """Yield the titles of a table or triples with their classes; only count classes that the ontology lacks.

    Of a title's classes the `deepest` counts, or the first.
    """
    classify = classifier(ontology)
    for title, name in rows:
        known, path = answer = classify(name)
        tally.good(answer)
        if path and known:
            yield title, 1 + _DEEPEST - min(len(path), _DEEPEST) if deepest else 0, path


def ask_infoboxes(
    mappings: Sequence[tuple[int, Mappings, ClaimCounts]],
    ontology: Ontology,
    pages: Iterable[tuple[str, Sequence[Infobox]]],
    template_redirects: Mapping[str, str],
) -> Iterator[tuple[int, Claim]]:
    """Yield the claim of each page's infoboxes, with the rank of the mappings; read `pages` once.

    `mappings` have ranks and counts. `template_redirects` lead to the ends of their chains.
    """
    for _, mapping, tally in mappings:
        for place, why in mapping.unread:
            tally.bad(f"{place}: {why}")
        tally.rows = len(mapping.rules) + len(mapping.unread)
    classify = classifier(ontology)
    led = [(rank, mapping.led_by(template_redirects), tally) for rank, mapping, tally in mappings]
    for raw_title, infoboxes in pages if mappings else ():
        title = normalise_title(raw_title)
        for rank, mapping, tally in led:
            if path := _class_of_page(filter(None, map(mapping.class_of, infoboxes)), classify, tally):
                yield rank, (title, 0, path)


def classifier(ontology: Ontology) -> Callable[[str], Answer]:
    """Return a cached function that gives whether a class is known, and its path."""

    @lru_cache(maxsize=4096)
    def classify(name: str) -> Answer:
        return not len(ontology) or ontology.knows(name), ontology.path(name)

    return classify


def _class_of_page(names: Iterable[str], classify: Callable[[str], Answer], tally: ClaimCounts) -> ClassPath:
    """Return the path of the first known class, or its deepest refinement.

    Infoboxes of the classes Person and then Politician give Politician.
    """
    best: ClassPath = ()
    first = 0
    for name in names:
        known, path = classify(name)
        if path and not known:
            tally.unknown_class(path[-1])
        elif path and (not best or (len(path) > len(best) and path[:first] == best[:first])):
            best, first = path, first or len(path)
    return best
