"""What each kind of source answers when asked for the classes of titles, and the tally of what it was asked with.

The choice: answers are streamed, a title as often as a source names it; which of them counts is decided when they are
sorted (`table`). A table's first row on a title counts; of triples the deepest class does, since DBpedia's transitive
files name all of a path. The price: two deep classes of one title (a town that is a ship, too) leave the first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from nerbert.corpus.knowledge.mappings import Mappings
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.sources import Found, Pair, read_lines
from nerbert.corpus.titles import normalise_title
from nerbert.records import Infobox, Reason

_BAD_ROWS_KEPT = 5
_UNKNOWN_KEPT = 10_000
_HOPS = 5
_LONGEST = 1000
_DEEPEST = 63

ClassPath: TypeAlias = tuple[str, ...]
Answer: TypeAlias = tuple[bool, ClassPath]
"""Whether a class is known (all are without an ontology), and its path, () for owl:Thing."""
Claim: TypeAlias = tuple[str, int, ClassPath]
"""A title, its class path, and between them how far that path stands back behind others of the same source."""

DISAMBIGUATION: ClassPath = ("disambiguation page",)
"""Says of a title that it lists the meanings of a name, and so has no class whatever a source says. No class is called
that: names of classes have no blanks."""


@dataclass(frozen=True, slots=True)
class TypedTitle:
    """A title's classes from the root to the deepest, and the source that says so."""

    class_path: ClassPath
    source: str


@dataclass(slots=True)
class Tally:
    """What was counted of a source; `other_rows` are whole but type nothing (owl:Thing, labels).

    Of the titles it names, `typed` have their class from it, `lost_to_precedence` from a source before it, and
    `disambiguation_pages` none, for what they are.
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
        """Count a whole row by its class."""
        known, path = answer
        self.rows += 1
        if not path:
            self.other_rows += 1
        elif not known:
            self.unknown_class(path[-1])

    def unknown_class(self, name: str) -> None:
        """Count a class that the ontology lacks; past thousands of names, new ones are counted without their name."""
        self.dropped[Reason.UNKNOWN_CLASS] += 1
        if name in self.unknown or len(self.unknown) < _UNKNOWN_KEPT:
            self.unknown[name] += 1


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How a file's lines are read: into pairs, below a header or not, the deepest class of a title or its first."""

    parse: Callable[[bytes], Pair | None]
    is_header: Callable[[bytes], bool]
    deepest: bool


def ask_rows(found: Found, rows: RowFormat, ontology: Ontology, tally: Tally) -> Iterator[Claim]:
    """Stream a table's or triples' titles with their classes."""
    classify = classifier(ontology)
    for number, line in enumerate(read_lines(found.path), 1):
        if not line.strip() or (number == 1 and rows.is_header(line)):
            continue
        pair = rows.parse(line)
        if pair is None or max(map(len, pair)) > _LONGEST:
            tally.bad(f"{found.name}:{number}: {line[:200].decode('utf-8', 'replace')}")
            continue
        known, path = answer = classify(pair[1])
        tally.good(answer)
        if path:
            yield pair[0], _behind(known, path) if rows.deepest else 0, path


def ask_infoboxes(
    mappings: Sequence[Mappings],
    ontology: Ontology,
    pages: Iterable[tuple[str, Sequence[Infobox]]],
    template_redirects: Mapping[str, str],
    tallies: Sequence[Tally],
) -> Iterator[tuple[int, Claim]]:
    """Read `pages` once; of each page, the class of the first infobox that maps, with the number of its mappings."""
    for mapping, tally in zip(mappings, tallies, strict=True):
        for place, why in mapping.unread:
            tally.bad(f"{place}: {why}")
        tally.rows = len(mapping) + len(mapping.unread)
    classify = classifier(ontology)
    for raw_title, infoboxes in pages if mappings else ():
        title = normalise_title(raw_title)
        for number, (mapping, tally) in enumerate(zip(mappings, tallies, strict=True)):
            names = (_mapped_class(mapping, infobox, template_redirects) for infobox in infoboxes)
            known, path = classify(next(filter(None, names), ""))
            if path and not known:
                tally.unknown_class(path[-1])
            if path:
                yield number, (title, 0, path)


def classifier(ontology: Ontology) -> Callable[[str], Answer]:
    """A function that says whether a class is known, and its path; it remembers."""

    @lru_cache(maxsize=4096)
    def classify(name: str) -> Answer:
        return not len(ontology) or ontology.knows(name), ontology.path(name)

    return classify


def _behind(known: bool, path: ClassPath) -> int:
    """How far a class stands back: a deeper one comes before others, a known one before all unknown ones."""
    return _DEEPEST - min(len(path), _DEEPEST) + (0 if known else _DEEPEST + 1)


def _mapped_class(mappings: Mappings, infobox: Infobox, redirects: Mapping[str, str]) -> str | None:
    template = normalise_title(infobox.template)
    for _ in range(_HOPS):
        if mappings.knows(template):
            return mappings.class_of(Infobox(template, infobox.parameters))
        template = normalise_title(redirects.get(template, ""))
    return mappings.class_of(infobox)
