"""What each kind of source answers when asked for the classes of titles, and the tally of what it was asked with.

The choice: an answer holds new titles only, so memory grows with the wanted titles and never with a table. A table's
first row on a title counts; of triples the deepest class does, since DBpedia's transitive files name all of a path. The
price: two deep classes of one title (a town that is a ship, too) leave the first.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
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

ClassPath: TypeAlias = tuple[str, ...]
Answer: TypeAlias = tuple[bool, ClassPath]
"""Whether a class is known (all are without an ontology), and its path, () for owl:Thing."""


@dataclass(frozen=True, slots=True)
class TypedTitle:
    """A title's classes from the root to the deepest, and the source that says so."""

    class_path: ClassPath
    source: str


@dataclass(slots=True)
class Tally:
    """What was counted while a source was read; `other_rows` are whole but type nothing (owl:Thing, labels)."""

    sha256: str = ""
    rows: int = 0
    typed: int = 0
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


def ask_rows(
    found: Found,
    rows: RowFormat,
    ontology: Ontology,
    *,
    wanted: Container[str],
    typed: Container[str],
    tally: Tally,
) -> dict[str, ClassPath]:
    """Stream a table or triples; return the classes of wanted titles that aren't `typed` yet."""
    classify = _classifier(ontology)
    answer: dict[str, Answer] = {}
    for number, line in enumerate(read_lines(found.path), 1):
        if not line.strip() or (number == 1 and rows.is_header(line)):
            continue
        pair = rows.parse(line)
        if pair is None:
            tally.bad(f"{found.name}:{number}: {line[:200].decode('utf-8', 'replace')}")
            continue
        new = classify(pair[1])
        tally.good(new)
        if new[1] and (title := pair[0]) in wanted and title not in typed:
            old = answer.setdefault(title, new)
            if rows.deepest and (new[0], len(new[1])) > (old[0], len(old[1])):
                answer[title] = new
    return {title: path for title, (_, path) in answer.items()}


def ask_infoboxes(
    mappings: Sequence[Mappings],
    wanted: Container[str],
    pages: Iterable[tuple[str, Sequence[Infobox]]],
    template_redirects: Mapping[str, str],
) -> list[dict[str, str]]:
    """Read `pages` once; return for each of the mappings the class of each wanted page's first infobox that maps."""
    answers: list[dict[str, str]] = [{} for _ in mappings]
    for raw_title, infoboxes in pages if mappings else ():
        title = normalise_title(raw_title)
        if title not in wanted:
            continue
        for mapping, answer in zip(mappings, answers, strict=True):
            names = (_mapped_class(mapping, infobox, template_redirects) for infobox in infoboxes)
            name = None if title in answer else next(filter(None, names), None)
            if name:
                answer[title] = name
    return answers


def ask_mappings(
    mappings: Mappings, ontology: Ontology, names: Mapping[str, str], typed: Container[str], tally: Tally
) -> dict[str, ClassPath]:
    """Turn the classes that the mappings named into paths, for titles that aren't `typed` yet; rows are mappings."""
    for title, why in mappings.unread:
        tally.bad(f"{title}: {why}")
    tally.rows = len(mappings) + len(mappings.unread)
    classify = _classifier(ontology)
    answers = {title: classify(name) for title, name in names.items() if title not in typed}
    for known, path in answers.values():
        if path and not known:
            tally.unknown_class(path[-1])
    return {title: path for title, (_, path) in answers.items() if path}


def _classifier(ontology: Ontology) -> Callable[[str], Answer]:
    @lru_cache(maxsize=4096)
    def classify(name: str) -> Answer:
        return not len(ontology) or ontology.knows(name), ontology.path(name)

    return classify


def _mapped_class(mappings: Mappings, infobox: Infobox, redirects: Mapping[str, str]) -> str | None:
    template = normalise_title(infobox.template)
    for _ in range(_HOPS):
        if mappings.knows(template):
            return mappings.class_of(Infobox(template, infobox.parameters))
        template = normalise_title(redirects.get(template, ""))
    return None
