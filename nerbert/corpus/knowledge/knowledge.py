"""Titles and their classes: from DBpedia's exports and triples, Wikidata's dumps, and tables of titles.

The choice: of the sources that type a title the one named first wins, or the one that the setting `precedence` names
first; all are streamed into one table. The price: each build reads every source whole, and damage at the end of one
shows only then. Triples and mappings of another wiki are passed over, those of http://dbpedia.org/resource/ are of the
English one; tables say nothing of their titles' language, and count for every wiki.
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
from nerbert.corpus.knowledge.claims import (
    DISAMBIGUATION,
    Claim,
    ClaimCounts,
    RowFormat,
    ask_infoboxes,
    ask_rows,
)
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
from nerbert.corpus.knowledge.precedence import ordered
from nerbert.corpus.knowledge.table import check_sources, write_types
from nerbert.corpus.knowledge.triples import parse_row, parse_triple
from nerbert.corpus.knowledge.wikidata import wikidata_rows
from nerbert.corpus.knowledge.wikidata_dumps import Wiki
from nerbert.errors import InputError
from nerbert.records import Infobox
from nerbert.sources.files import FoundFile, find_all, open_plain

INFOBOX = "infobox"
"""The source of a title that an infobox mapping typed."""
WIKIDATA = "wikidata"
_WORDS = {SourceKind.MAPPING: INFOBOX, SourceKind.TRIPLES: "instance-types", SourceKind.TABLE: "table"}
_UNTYPING = (SourceKind.ONTOLOGY, SourceKind.DISAMBIGUATIONS, SourceKind.WIKIDATA_SITELINKS)
"""Kinds that give no title a class."""
_UNKNOWN_NAMED = 20
_NONE: Mapping[str, str] = MappingProxyType({})
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class KnowledgeSource:
    """A file that is used: what it holds, and its mappings if it holds those."""

    found: FoundFile
    kind: SourceKind
    mappings: Mappings | None = None

    @property
    def word(self) -> str:
        """The kind as the setting `precedence` calls it."""
        return _WORDS.get(self.kind, WIKIDATA)

    @property
    def name(self) -> str:
        """What a title typed by this source names as its source."""
        return INFOBOX if self.mappings is not None else self.found.name

    @property
    def types(self) -> bool:
        """Whether it can give a title a class."""
        return self.kind not in _UNTYPING and (self.mappings is None or bool(self.mappings.rules))

    def report(self, tally: ClaimCounts) -> dict[str, object]:
        """The source and its counts, fit for JSON."""
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
    """The sources in the order in which they were named, the classes, what was passed over and why; and the counts.

    `order` holds the places of the sources that type titles, first the one whose word counts most. `wiki` is the name
    of the wiki's database; where that isn't known, the language says what Wikidata calls the wiki.
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
        """The wikis whose titles are meant by the same names as here."""
        return editions(self.wiki, self.language)

    def write_table(
        self,
        path: Path,
        scratch: Path,
        pages: Iterable[tuple[str, Sequence[Infobox]]] = (),
        template_redirects: Mapping[str, str] = _NONE,
        disambiguation: Iterable[str] = (),
    ) -> None:
        """Write the class of every title that a source names as `table.TypeTable`; `scratch` is a folder to be made.

        `pages` is read once, and only if there are mappings. The redirects' templates and the titles that are known to
        be `disambiguation` pages are normalised as `normalise_title` does. Memory does not grow with the titles.
        """
        self.tallies = [ClaimCounts(sha256_of(source.found.path)) for source in self.sources]
        scratch.mkdir()
        known = ((0, (title, 0, DISAMBIGUATION)) for title in disambiguation)
        claims = chain(known, self._infobox_claims(pages, template_redirects), self._file_claims(scratch))
        names = [self.sources[place].name for place in self.order]
        shown = [rank for rank, place in enumerate(self.order) if self.sources[place].mappings is not None]
        decided = write_types(claims, names, path, scratch / "types", shown)
        for rank, place in enumerate(self.order):
            tally = self.tallies[place]
            tally.typed, tally.lost_to_precedence = int(decided.typed[rank]), int(decided.lost[rank])
            tally.disambiguation_pages = int(decided.barred[rank])
        self.disambiguation_pages = decided.disambiguation_pages
        rmtree(scratch)

    def _infobox_claims(
        self, pages: Iterable[tuple[str, Sequence[Infobox]]], template_redirects: Mapping[str, str]
    ) -> Iterator[tuple[int, Claim]]:
        """What infoboxes claim of the dump's pages, with the rank of their mappings."""
        places = [place for place in self.order if self.sources[place].mappings is not None]
        mappings = [mapping for place in places if (mapping := self.sources[place].mappings) is not None]
        ranks = [self.order.index(place) for place in places]
        tallies = [self.tallies[place] for place in places]
        for number, claim in ask_infoboxes(mappings, self.ontology, pages, template_redirects, tallies):
            yield ranks[number], claim

    def _file_claims(self, scratch: Path) -> Iterator[tuple[int, Claim]]:
        """What files of rows claim, with their rank; they are read in the order in which they were named."""
        for place, (source, tally) in enumerate(zip(self.sources, self.tallies, strict=True)):
            if source.kind == SourceKind.ONTOLOGY:
                tally.rows = len(self.ontology)
            elif source.kind not in (SourceKind.MAPPING, SourceKind.WIKIDATA_SITELINKS):
                rank = self.order.index(place) if place in self.order else 0
                yield from ((rank, claim) for claim in self._claims(source, tally, scratch))

    def _claims(self, source: KnowledgeSource, tally: ClaimCounts, scratch: Path) -> Iterator[Claim]:
        """What a file of rows claims."""
        if source.kind in (SourceKind.TABLE, SourceKind.TRIPLES):
            yield from ask_rows(source.found, _row_format(source.kind, self.editions), self.ontology, tally)
            return
        if source.kind == SourceKind.DISAMBIGUATIONS:
            rows = disambiguation_rows(source.found, self.editions, tally)
        else:
            wiki, scratch = Wiki.of(self.language, self.wiki), scratch / "wikidata"
            links = self._links() if source.kind == SourceKind.WIKIDATA_TRUTHY else None
            rows = wikidata_rows(source.found, source.kind, wiki, self.ontology, tally, scratch, links)
        yield from ((title, int(path == DISAMBIGUATION), path) for title, path in rows)

    def _links(self) -> tuple[FoundFile, ClaimCounts] | None:
        """Wikidata's table of links to pages, for dumps without any."""
        pairs = zip(self.sources, self.tallies, strict=True)
        return next(
            ((source.found, tally) for source, tally in pairs if source.kind == SourceKind.WIKIDATA_SITELINKS), None
        )

    def report(self) -> dict[str, object]:
        """What was used, what was passed over and why, fit for JSON; the counts are those of the last table."""
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
    """Tell what the files at `paths` hold, read classes and the wiki's mappings; rows are read when typing.

    `precedence` names the kinds and files whose word counts most, between commas; the others follow in their order.
    `wiki` is the database's name, if it is known; else the wiki is told by the language.
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
    order = _in_order(sources, precedence)
    check_sources(len(order))
    return Knowledge(language, ontology, tuple(sources), tuple(passed_over), tuple(order), wiki=wiki)


def _choose(
    files: Iterable[tuple[FoundFile, Detected]], ours: Collection[str], mappings: Mapping[FoundFile, Mappings]
) -> tuple[list[KnowledgeSource], list[tuple[str, str]]]:
    """The files that are used, and the names of those passed over, with why."""
    sources: list[KnowledgeSource] = []
    passed_over: list[tuple[str, str]] = []
    used: set[Path | SourceKind] = set()
    for found, told in files:
        place = found.path.resolve()
        why = _why_not(found, told, ours) or _why_again(place, told, used)
        if why or not told.kind:
            passed_over.append((found.name, why))
        else:
            sources.append(KnowledgeSource(found, told.kind, mappings.get(found)))
            used |= {place, told.kind}
    return sources, passed_over


def _in_order(sources: Sequence[KnowledgeSource], precedence: str) -> list[int]:
    typing = [place for place, source in enumerate(sources) if source.kind not in _UNTYPING]
    named = [(sources[place].found.name, sources[place].word) for place in typing]
    return [typing[place] for place in ordered(named, precedence)]


def _read(found: FoundFile, read: Callable[[IO[bytes], Path | str], _Read]) -> _Read:
    with open_plain(found.path) as stream:
        return read(stream, found.path)


def _first_ontology(exports: Iterable[tuple[FoundFile, Detected | None]]) -> Ontology:
    for found, told in exports:
        if told and told.kind == SourceKind.ONTOLOGY:
            return _read(found, read_ontology)
    return Ontology.of({})


def _row_format(kind: SourceKind, ours: Collection[str]) -> RowFormat:
    if kind == SourceKind.TABLE:
        return RowFormat(parse_row, is_header, deepest=False)
    return RowFormat(partial(parse_triple, editions=ours), None, deepest=True)


def _why_not(found: FoundFile, told: Detected, ours: Collection[str]) -> str:
    """Say why a file is passed over, "" if it is used; a file of unknown content that was named itself is an error."""
    if told.unknown and found.direct:
        raise InputError(f"{found.path}: {told.why}; {UNDERSTOOD}")
    if told.why:
        return told.why
    if told.language and told.language not in ours:
        return f"{told.kind} of another language ({told.language}) than the dump's ({', '.join(ours)})"
    return ""


def _why_again(place: Path, told: Detected, used: Collection[Path | SourceKind]) -> str:
    """Say why a file that could be used is one too many."""
    if place in used:
        return "named before"
    if told.kind == SourceKind.ONTOLOGY and told.kind in used:
        return "a second ontology; the one named first is used"
    return ""
