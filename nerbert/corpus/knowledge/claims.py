"""Claims: the classes that a source assigns to titles. Read from triples, tables and infoboxes, and counted.

Lines are decoded one by one, so a bad byte costs one row. Claims are streamed; the database decides which one counts.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from typing import TypeAlias
from urllib.parse import unquote

from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.knowledge.exports import Mappings, Ontology
from nerbert.records import Infobox, Reason
from nerbert.sources.files import FoundFile, read_blocks

LONGEST_TITLE = 1000
"""Maximum number of characters of a title or a class; MediaWiki's titles have at most 255 bytes."""
TYPE_TRIPLE = re.compile(
    r"<https?://(?:([a-z-]+)\.)?dbpedia\.org/resource/([^<>\s]*)>\s*<http://www\.w3\.org/1999/02/22-rdf-syntax-ns#type>"
    r"\s*<http://dbpedia\.org/ontology/([^<>\s]+)>\s*(?:<[^<>\s]*>\s*)?\.\s*"
)
DISAMBIGUATION_TRIPLE = re.compile(
    r"<https?://(?:([a-z-]+)\.)?dbpedia\.org/resource/([^<>\s]*)>\s*<http://dbpedia\.org/ontology/wikiPageDisambiguates>"
    r"\s*<([^<>\s]+)>\s*(?:<[^<>\s]*>\s*)?\.\s*"
)
_TRIPLE = re.compile(r"(?:<[^<>\s]*+>|_:[^<>\s]++)\s*+<[^<>\s]*+>\s*+[<\"_]")
"""The beginning of any triple; it never backtracks, so the time is linear in the line."""
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")

Pair: TypeAlias = tuple[str, str]
"""Title and class (or other object) of a row; NO_TYPE for a valid row that types nothing."""
NO_TYPE: Pair = ("", "")
_BAD_ROWS_KEPT = 5
_UNKNOWN_KEPT = 10_000
_DEEPEST = 63
_LONGEST_LINE = 1 << 20

ClassPath: TypeAlias = tuple[str, ...]
Answer: TypeAlias = tuple[bool, ClassPath]
"""True if a class is known (always without an ontology), and the class path, () for owl:Thing."""
Claim: TypeAlias = tuple[str, int, ClassPath]
"""A title, the priority of the claim within its source (lower values win), and the class path.

Of claims with priority 0, the first counts. Among others with equal priority, the choice ignores their order."""

DISAMBIGUATION: ClassPath = ("disambiguation page",)
"""Marks a title that lists the meanings of a name and therefore has no class, whatever a source says.

No class has this name, because class names contain no blanks. Its claim has priority 0 from the dump's own page and 1
from a list."""


@dataclass(slots=True)
class TitleCounts:
    """The outcomes for the titles of a source.

    `typed` get their class from it and `lost_to_precedence` from an earlier source; `disambiguation_pages` get none.
    """

    typed: int = 0
    lost_to_precedence: int = 0
    disambiguation_pages: int = 0


@dataclass(slots=True)
class ClaimCounts:
    """Counts of one source; `other_rows` are valid rows that type nothing (owl:Thing, labels)."""

    sha256: str = ""
    titles: TitleCounts = field(default_factory=TitleCounts)
    rows: int = 0
    other_rows: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    bad_rows: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, object]:
        """Return the counts, ready for JSON, without the unknown classes."""
        dropped = {reason.value: count for reason, count in sorted(self.dropped.items())}
        rows = {"rows": self.rows, "other_rows": self.other_rows, "dropped": dropped, "bad_rows": list(self.bad_rows)}
        return {"sha256": self.sha256, **asdict(self.titles), **rows}

    def bad(self, text: str) -> None:
        """Count a broken row, and keep its description if it is among the first."""
        self.rows += 1
        self.dropped[Reason.BAD_ROW] += 1
        if len(self.bad_rows) < _BAD_ROWS_KEPT:
            self.bad_rows.append(text)

    def bad_line(self, name: str, number: int, line: bytes = b"a line too long") -> None:
        """Count a broken line of a file."""
        self.bad(f"{name}:{number}: {line[:200].decode('utf-8', 'replace')}")

    def good(self, answer: Answer) -> None:
        """Count a valid row by its class."""
        known, path = answer
        self.rows += 1
        if not path:
            self.other_rows += 1
        elif not known:
            self.unknown_class(path[-1])

    def unknown_class(self, name: str) -> None:
        """Count a class that the ontology lacks; names beyond a limit are not stored."""
        self.dropped[Reason.UNKNOWN_CLASS] += 1
        if name in self.unknown or len(self.unknown) < _UNKNOWN_KEPT:
            self.unknown[name] += 1


def read_rows(
    file: FoundFile,
    parse: Callable[[bytes], Pair | None],
    tally: ClaimCounts,
    is_header: Callable[[bytes], bool] | None = None,
) -> Iterator[Pair]:
    """Yield the valid rows of a file; count broken rows and rows with an overlong title as bad."""
    bad = partial(tally.bad_line, file.name)
    for first, block in read_blocks(file.path, _LONGEST_LINE, bad):
        for number, line in enumerate(block.split(b"\n"), first):
            if not line.strip() or (number == 1 and is_header and is_header(line)):
                continue
            row = parse(line)
            if row is None or max(map(len, row)) > LONGEST_TITLE:
                bad(number, line)
            else:
                yield row


def claims_of(answers: Iterable[tuple[str, Answer]], tally: ClaimCounts, *, deepest: bool = False) -> Iterator[Claim]:
    """Count the answers to the titles of a source, and yield the claims of those with a known class.

    If a title has several classes, the first counts, or with `deepest` the deepest.
    """
    for title, answer in answers:
        known, path = answer
        tally.good(answer)
        # A list of disambiguation pages: priority 1, weaker than the dump's own page
        if path == DISAMBIGUATION:
            yield title, 1, path
        # With `deepest`, a deeper path gets a lower value, which must fit into seven bits
        elif path and known:
            yield title, 1 + _DEEPEST - min(len(path), _DEEPEST) if deepest else 0, path


def ask_infoboxes(
    mappings: Sequence[tuple[int, Mappings, ClaimCounts]],
    ontology: Ontology,
    pages: Iterable[tuple[str, Sequence[Infobox]]],
    template_redirects: Mapping[str, str],
) -> Iterator[tuple[int, Claim]]:
    """Yield each page's claims with the rank of the mappings; `pages` are read once; redirects must be folded."""
    for _, mapping, tally in mappings:
        for title, reason in mapping.unread:
            tally.bad(f"{title}: {reason}")
        tally.rows = len(mapping.rules) + len(mapping.unread)
    classify = classifier(ontology)
    redirected = [(rank, mapping.add_redirects(template_redirects), tally) for rank, mapping, tally in mappings]
    # Reading pages takes long and is in vain without mappings
    for raw_title, infoboxes in pages if mappings else ():
        title = normalise_title(raw_title)
        for rank, mapping, tally in redirected:
            if path := _class_of_page(filter(None, map(mapping.class_of, infoboxes)), classify, tally):
                yield rank, (title, 0, path)


def classifier(ontology: Ontology) -> Callable[[str], Answer]:
    """Return a cached function from a class name to its Answer."""

    @lru_cache(maxsize=4096)
    def classify(name: str) -> Answer:
        # Without an ontology, any class is taken as known
        return not len(ontology) or ontology.knows(name), ontology.path(name)

    return classify


def _class_of_page(names: Iterable[str], classify: Callable[[str], Answer], tally: ClaimCounts) -> ClassPath:
    """Return the path of the first known class, or its deepest refinement: Person, then Politician, give Politician."""
    best: ClassPath = ()
    first = 0
    for name in names:
        known, path = classify(name)
        # The infobox exists, but its class is unknown: count it, and look at the page's others
        if path and not known:
            tally.unknown_class(path[-1])
        # A deeper class counts only if it is below the first one: not a second, unrelated infobox
        elif path and (not best or (len(path) > len(best) and path[:first] == best[:first])):
            best = path
            first = first or len(path)
    return best


def decode(line: bytes) -> str | None:
    """Return a line's text without a carriage return; None if it is not UTF-8."""
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        return None


def parse_row(line: bytes) -> Pair | None:
    """Return title and class of a table's row; None if one is missing."""
    cells = (decode(line) or "").split("\t", 2)
    if len(cells) < 2 or max(map(len, cells[:2])) > LONGEST_TITLE:
        return None
    title = normalise_title(cells[0])
    name = cells[1].strip()
    return (title, name) if title and name else None


def parse_triple(line: bytes, pattern: "re.Pattern[str]", editions: Collection[str]) -> Pair | None:
    """Return title and object of a triple that fits `pattern`, NO_TYPE for other triples and comments, else None."""
    text = decode(line) or ""
    match = pattern.fullmatch(text)
    if not match:
        return NO_TYPE if is_other_triple(text) else None
    # English has the host without a code
    if (match.group(1) or "en") not in editions:
        return NO_TYPE
    try:
        title = normalise_title(unquote(_unescape(match.group(2)), errors="strict"))  # `%C3%A4` or `\\u00E4`
        name = _unescape(match.group(3))
    except (ValueError, OverflowError):  # escapes that aren't characters
        return None
    return (title, name) if title and name else None


def is_other_triple(text: str) -> bool:
    """Return whether a line is valid in a file of triples but types no title: another triple, a comment, a prefix."""
    return text.startswith(("#", "@")) or bool(_TRIPLE.match(text) and text.rstrip().endswith("."))


def _unescape(iri: str) -> str:
    if "\\" not in iri:
        return iri
    plain = _ESCAPE.sub(lambda match: chr(int(match.group(1) or match.group(2), 16)), iri)
    # Raises ValueError for half of a surrogate pair
    plain.encode()
    return plain
