"""Read titles and their classes from DBpedia's exports and triples, Wikidata's dumps, and tables of titles.

Of the sources that type a title, the first named wins, or the first in the setting `precedence`; all are streamed into
one table. The cost: each build reads every source in full, and detects damage at the end of a file only then. Triples
and mappings of other wikis are skipped; http://dbpedia.org/resource/ belongs to the English one. Tables do not name
their titles' language, and apply to every wiki.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from shutil import rmtree
from types import MappingProxyType
from typing import IO, TypeVar

from nerbert.artifacts import sha256_of
from nerbert.corpus.dump.sites import editions
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Claim, ClaimCounts, ask_infoboxes, ask_rows, read_rows
from nerbert.corpus.knowledge.detect import (
    UNDERSTOOD,
    Detected,
    SourceKind,
    is_header,
    tell_export,
    tell_lines,
    tell_together,
)
from nerbert.corpus.knowledge.disambiguation import disambiguation_rows
from nerbert.corpus.knowledge.mappings import Mappings, read_mappings
from nerbert.corpus.knowledge.ontology import Ontology, read_ontology
from nerbert.corpus.knowledge.table import check_sources, write_types
from nerbert.corpus.knowledge.triples import parse_row, parse_triple
from nerbert.corpus.knowledge.wikidata import wikidata_rows
from nerbert.corpus.knowledge.wikidata_dumps import Wiki
from nerbert.errors import InputError, SettingsError
from nerbert.records import Infobox
from nerbert.sources.files import FoundFile, find_all, open_plain

INFOBOX = "infobox"
"""The source name of titles that an infobox mapping typed."""
WIKIDATA = "wikidata"
_WORDS = {SourceKind.MAPPING: INFOBOX, SourceKind.TRIPLES: "instance-types", SourceKind.TABLE: "table"}
_KINDS = (INFOBOX, "instance-types", WIKIDATA, "table")
"""The names of kinds in the setting `precedence`."""
_UNTYPING = (SourceKind.ONTOLOGY, SourceKind.DISAMBIGUATIONS, SourceKind.WIKIDATA_SITELINKS)
"""Kinds that assign no classes to titles."""
_UNKNOWN_NAMED = 20
_NONE: Mapping[str, str] = MappingProxyType({})
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class KnowledgeSource:
    """A file that is used: its kind, and its mappings if it contains any."""

    found: FoundFile
    kind: SourceKind
    mappings: Mappings | None = None

    @property
    def word(self) -> str:
        """The kind's name in the setting `precedence`."""
        return _WORDS.get(self.kind, WIKIDATA)

    @property
    def name(self) -> str:
        """The source name in the rows of titles that this source typed."""
        return INFOBOX if self.mappings is not None else self.found.name

    @property
    def types(self) -> bool:
        """Whether the source can assign classes to titles."""
        return self.kind not in _UNTYPING and (self.mappings is None or bool(self.mappings.rules))

    def report(self, tally: ClaimCounts) -> dict[str, object]:
        """Return the source and its counts, ready for JSON."""
        dropped = {reason.value: count for reason, count in sorted(tally.dropped.items())}
        titles = {
            "typed": tally.typed,
            "lost_to_precedence": tally.lost_to_precedence,
            "disambiguation_pages": tally.disambiguation_pages,
        }
        rows = {"rows": tally.rows, "other_rows": tally.other_rows, "dropped": dropped}
        where = {"path": self.found.name, "kind": self.kind.value, "sha256": tally.sha256}
        return {**where, **titles, **rows, "bad_rows": list(tally.bad_rows)}


@dataclass(slots=True)
class Knowledge:
    """The sources in the order given, the classes, the skipped files with reasons, and the counts.

    `order` has the indices of the sources that type titles, highest precedence first. `wiki` is the name of the wiki's
    database; if it is unknown, the language determines Wikidata's name of the wiki.
    """

    language: str
    ontology: Ontology
    sources: tuple[KnowledgeSource, ...]
    passed_over: tuple[tuple[str, str], ...]
    order: tuple[int, ...]
    tallies: list[ClaimCounts] = field(default_factory=list)
    disambiguation_pages: int = 0
    wiki: str = ""

    @property
    def editions(self) -> tuple[str, ...]:
        """The wikis whose titles mean the same as here."""
        return editions(self.wiki, self.language)

    def write_table(
        self,
        path: Path,
        scratch: Path,
        pages: Iterable[tuple[str, Sequence[Infobox]]] = (),
        template_redirects: Mapping[str, str] = _NONE,
        disambiguation: Iterable[str] = (),
    ) -> None:
        """Write the class of every title that a source names as `table.TypeTable`.

        The method creates and removes the folder `scratch`. It reads `pages` once, and only if there are mappings. The
        redirects' templates and the `disambiguation` titles must be normalised (`normalise_title`). Memory does not
        grow with the number of titles.
        """
        self.tallies = [ClaimCounts(sha256_of(source.found.path)) for source in self.sources]
        scratch.mkdir()
        known = ((0, (title, 0, DISAMBIGUATION)) for title in disambiguation)
        names = [self.sources[place].name for place in self.order]
        mappings = [
            (rank, mapping, self.tallies[place])
            for rank, place in enumerate(self.order)
            if (mapping := self.sources[place].mappings) is not None
        ]
        infoboxes = ask_infoboxes(mappings, self.ontology, pages, template_redirects)
        claims = chain(known, infoboxes, self._file_claims(scratch))
        decided = write_types(claims, names, path, scratch / "types", [rank for rank, _, _ in mappings])
        for rank, place in enumerate(self.order):
            tally = self.tallies[place]
            tally.typed, tally.lost_to_precedence = int(decided.typed[rank]), int(decided.lost[rank])
            tally.disambiguation_pages = int(decided.barred[rank])
        self.disambiguation_pages = decided.disambiguation_pages
        rmtree(scratch)

    def _file_claims(self, scratch: Path) -> Iterator[tuple[int, Claim]]:
        """Yield the claims of row files, with their rank, in the order of the sources."""
        for place, (source, tally) in enumerate(zip(self.sources, self.tallies, strict=True)):
            if source.kind == SourceKind.ONTOLOGY:
                tally.rows = len(self.ontology)
            elif source.kind not in (SourceKind.MAPPING, SourceKind.WIKIDATA_SITELINKS):
                rank = self.order.index(place) if place in self.order else 0
                yield from ((rank, claim) for claim in self._claims(source, tally, scratch))

    def _claims(self, source: KnowledgeSource, tally: ClaimCounts, scratch: Path) -> Iterator[Claim]:
        """Yield the claims of one row file."""
        if source.kind == SourceKind.TABLE:
            pairs = read_rows(source.found, parse_row, tally, is_header)
            yield from ask_rows(pairs, self.ontology, tally, deepest=False)
            return
        if source.kind == SourceKind.TRIPLES:
            pairs = read_rows(source.found, partial(parse_triple, editions=self.editions), tally)
            yield from ask_rows(pairs, self.ontology, tally, deepest=True)
            return
        if source.kind == SourceKind.DISAMBIGUATIONS:
            rows = disambiguation_rows(source.found, self.editions, tally)
        else:
            wiki, scratch = Wiki.of(self.language, self.wiki), scratch / "wikidata"
            links = self._links() if source.kind == SourceKind.WIKIDATA_TRUTHY else None
            rows = wikidata_rows(source.found, source.kind, wiki, self.ontology, tally, scratch, links)
        yield from ((title, int(path == DISAMBIGUATION), path) for title, path in rows)

    def _links(self) -> tuple[FoundFile, ClaimCounts] | None:
        """Return Wikidata's table of page links with its counts, for dumps without links."""
        pairs = zip(self.sources, self.tallies, strict=True)
        return next(
            ((source.found, tally) for source, tally in pairs if source.kind == SourceKind.WIKIDATA_SITELINKS), None
        )

    def report(self) -> dict[str, object]:
        """Return the used and skipped files, with reasons and the counts of the last table, ready for JSON."""
        tallies = self.tallies or [ClaimCounts() for _ in self.sources]
        unknown = Counter[str]()
        for tally in tallies:
            unknown.update(tally.unknown)
        most = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:_UNKNOWN_NAMED]
        return {
            "used": [source.report(tally) for source, tally in zip(self.sources, tallies, strict=True)],
            "passed_over": [{"path": path, "why": why} for path, why in self.passed_over],
            "precedence": [self.sources[place].found.name for place in self.order],
            "disambiguation_pages": self.disambiguation_pages,
            "classes": len(self.ontology),
            "unknown_classes": dict(most),
        }


def open_knowledge(paths: Sequence[Path], language: str, precedence: str = "", wiki: str = "") -> Knowledge:
    """Detect the kinds of the files at `paths`, and read the classes and the wiki's mappings.

    Rows are read later, by `write_table`. `precedence` lists kinds and files, separated by commas, in decreasing
    precedence; the others follow in their order. `wiki` is the database's name if it is known; else the language
    determines the wiki.
    """
    language = language.lower()
    ours = editions(wiki, language)
    exports = [(found, tell_export(found.path)) for found in find_all([Path(path) for path in paths])]
    ontology = _first_ontology(exports)
    mappings = {
        found: _read(found, read_mappings)
        for found, told in exports
        if told and told.kind == SourceKind.MAPPING and told.language in ours
    }

    def mapped(name: str) -> bool:
        return any(mapping.knows(name) for mapping in mappings.values())

    all_told = [(found, export or tell_lines(found.path, ontology, mapped)) for found, export in exports]
    sources, passed_over = _choose(tell_together(all_told, ontology), ours, mappings)
    if not any(source.types for source in sources):
        seen = "; ".join(f"{name}: {why}" for name, why in passed_over[:5])
        seen = seen or (f"only {sources[0].kind}, without a class" if sources else "no file")
        raise InputError(f"--knowledge: nothing there gives titles a class ({seen}); {UNDERSTOOD}")
    named = {place: (each.found.name, each.word) for place, each in enumerate(sources) if each.kind not in _UNTYPING}
    order = ordered(named, precedence)
    check_sources(len(order))
    return Knowledge(language, ontology, tuple(sources), tuple(passed_over), tuple(order), wiki=wiki)


def _choose(
    files: Iterable[tuple[FoundFile, Detected]], ours: Collection[str], mappings: Mapping[FoundFile, Mappings]
) -> tuple[list[KnowledgeSource], list[tuple[str, str]]]:
    """Return the files that are used, and the names of the skipped files with reasons."""
    sources: list[KnowledgeSource] = []
    passed_over: list[tuple[str, str]] = []
    used: set[Path | SourceKind] = set()
    for found, told in files:
        place = found.path.resolve()
        why = _why_not(found, told, ours)
        if place in used:
            why = why or "named before"
        elif told.kind == SourceKind.ONTOLOGY and told.kind in used:
            why = why or "a second ontology; the one named first is used"
        if why or not told.kind:
            passed_over.append((found.name, why))
        else:
            sources.append(KnowledgeSource(found, told.kind, mappings.get(found)))
            used |= {place, told.kind}
    return sources, passed_over


def ordered(named: Mapping[int, tuple[str, str]], precedence: str) -> list[int]:
    """Return the keys of `named`, which has sources' names and kinds, in decreasing precedence.

    `precedence` lists names or kinds, separated by commas; sources that it does not name follow in their order. A kind
    without a source is no error, because settings outlive one build; any other unknown entry is.
    """
    order: dict[int, None] = {}
    for entry in filter(None, map(str.strip, precedence.split(","))):
        fitting = [place for place, words in named.items() if entry in words]
        if not fitting and entry not in _KINDS:
            there = ", ".join(f"{name} ({kind})" for name, kind in named.values())
            raise SettingsError(
                f"precedence: {entry!r} is no source in use; there are {there}; kinds are {', '.join(_KINDS)}"
            )
        order.update(dict.fromkeys(fitting))
    return list(order | dict.fromkeys(named))


def _read(found: FoundFile, read: Callable[[IO[bytes], Path | str], _Read]) -> _Read:
    with open_plain(found.path) as stream:
        return read(stream, found.path)


def _first_ontology(exports: Iterable[tuple[FoundFile, Detected | None]]) -> Ontology:
    for found, told in exports:
        if told and told.kind == SourceKind.ONTOLOGY:
            return _read(found, read_ontology)
    return Ontology.of({})


def _why_not(found: FoundFile, told: Detected, ours: Collection[str]) -> str:
    """Return why a file is skipped, "" if it is used; raise InputError if it was named directly and is unknown."""
    if told.unknown and found.direct:
        raise InputError(f"{found.path}: {told.why}; {UNDERSTOOD}")
    if told.why:
        return told.why
    if told.language and told.language not in ours:
        return f"{told.kind} of another language ({told.language}) than the dump's ({', '.join(ours)})"
    return ""
