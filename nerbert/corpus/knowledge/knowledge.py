"""Read titles and their classes from DBpedia's exports and triples, Wikidata's dumps, and tables of titles.

If several sources type a title, the first one named wins. Cost: each build reads every source in full.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from types import MappingProxyType
from typing import IO, TypeVar

from nerbert.artifacts import sha256_of
from nerbert.corpus.dump.sites import editions
from nerbert.corpus.knowledge.claims import (
    DISAMBIGUATION,
    DISAMBIGUATION_TRIPLE,
    TYPE_TRIPLE,
    Answer,
    Claim,
    ClaimCounts,
    ask_infoboxes,
    claims_of,
    classifier,
    parse_row,
    parse_triple,
    read_rows,
)
from nerbert.corpus.knowledge.database import MOST_SOURCES, Database, write_types
from nerbert.corpus.knowledge.detect import UNDERSTOOD, Detected, SourceKind, detect_export, detect_lines, is_header
from nerbert.corpus.knowledge.exports import Mappings, Ontology, read_mappings, read_ontology
from nerbert.corpus.knowledge.wikidata import site_of, wikidata_answers
from nerbert.errors import InputError
from nerbert.records import Infobox
from nerbert.sources.files import FoundFile, find_all, open_plain

INFOBOX = "infobox"
"""The source name of titles that an infobox mapping typed."""
_UNTYPING = (SourceKind.ONTOLOGY, SourceKind.DISAMBIGUATIONS)
"""Kinds that don't assign classes to titles."""
_UNKNOWN_NAMED = 20
_NONE: Mapping[str, str] = MappingProxyType({})
_Read = TypeVar("_Read")


@dataclass(slots=True)
class KnowledgeSource:
    """A file that is used: its kind, its mappings if it contains any, and its counts from the last reading."""

    file: FoundFile
    kind: SourceKind
    mappings: Mappings | None = None
    counts: ClaimCounts = field(default_factory=ClaimCounts)

    @property
    def name(self) -> str:
        """The source name in the rows of titles that this source typed."""
        return INFOBOX if self.mappings is not None else self.file.name

    @property
    def ranked(self) -> bool:
        """True if its kind assigns classes to titles, even if it is a file of mappings without rules."""
        return self.kind not in _UNTYPING

    @property
    def gives_classes(self) -> bool:
        """True if it can assign a class to a title."""
        return self.ranked and (self.mappings is None or bool(self.mappings.rules))


@dataclass(slots=True)
class Knowledge:
    """The sources in the order given, the classes, the skipped files with reasons, and the counts.

    `wiki` is the name of the wiki's database; if it is unknown, the language determines Wikidata's name of the wiki.
    """

    language: str
    ontology: Ontology
    sources: tuple[KnowledgeSource, ...]
    passed_over: tuple[tuple[str, str], ...]
    disambiguation_pages: int = 0
    wiki: str = ""

    def write_types(
        self,
        database: Database,
        pages: Iterable[tuple[str, Sequence[Infobox]]] = (),
        template_redirects: Mapping[str, str] = _NONE,
        disambiguation: Iterable[str] = (),
    ) -> None:
        """Write the class of every title in the sources, as `database.write_types` does.

        `pages` are read once, and only if there are mappings. Names of `template_redirects` and `disambiguation` titles
        must be normalised (`normalise_title`).
        """
        # Counts start anew, since the sources may be read more than once
        for source in self.sources:
            source.counts = ClaimCounts(sha256_of(source.file.path))
        ranked = [source for source in self.sources if source.ranked]
        mappings = [(rank, file.mappings, file.counts) for rank, file in enumerate(ranked) if file.mappings is not None]
        # The source's number is ignored for these: they bar their titles whatever a source says
        listed = ((0, (title, 0, DISAMBIGUATION)) for title in disambiguation)
        infoboxes = ask_infoboxes(mappings, self.ontology, pages, template_redirects)
        claims = chain(listed, infoboxes, self._read_claims(database.cursor()))
        counts, self.disambiguation_pages = write_types(
            database, claims, [source.name for source in ranked], [rank for rank, _, _ in mappings]
        )
        for source, titles in zip(ranked, counts, strict=True):
            source.counts.titles = titles

    def _read_claims(self, database: Database) -> Iterator[tuple[int, Claim]]:
        """Yield the claims of row-based files, with their ranks, in the order of the sources."""
        rank = 0
        for source in self.sources:
            if source.kind == SourceKind.ONTOLOGY:
                source.counts.rows = len(self.ontology)
            elif source.kind != SourceKind.MAPPING:
                # Triples may give a title its class and all classes above it
                deepest = source.kind == SourceKind.TRIPLES
                claims = claims_of(self._read_answers(source, database), source.counts, deepest=deepest)
                yield from zip(repeat(rank), claims)
            # Ranks number only the sources that give classes, as in `write_types`
            rank += source.ranked

    def _read_answers(self, source: KnowledgeSource, database: Database) -> Iterator[tuple[str, Answer]]:
        file = source.file
        counts = source.counts
        classify = classifier(self.ontology)
        if source.kind == SourceKind.WIKIDATA_JSON:
            return wikidata_answers(database, file, site_of(self.language, self.wiki), self.ontology, counts)
        if source.kind == SourceKind.TABLE:
            return ((title, classify(name)) for title, name in read_rows(file, parse_row, counts, is_header))
        if source.kind == SourceKind.DISAMBIGUATIONS:
            pattern, classify = DISAMBIGUATION_TRIPLE, lambda name: (True, DISAMBIGUATION if name else ())
        else:
            pattern = TYPE_TRIPLE
        parse = partial(parse_triple, pattern=pattern, editions=editions(self.wiki, self.language))
        return ((title, classify(name)) for title, name in read_rows(file, parse, counts))

    def report(self) -> dict[str, object]:
        """Return the used and skipped files, with reasons and the counts of the last table, ready for JSON."""
        unknown = sum((source.counts.unknown for source in self.sources), Counter[str]())
        most = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:_UNKNOWN_NAMED]
        return {
            "used": [
                {"path": source.file.name, "kind": source.kind.value, **source.counts.report()}
                for source in self.sources
            ],
            "passed_over": [{"path": path, "why": why} for path, why in self.passed_over],
            "disambiguation_pages": self.disambiguation_pages,
            "classes": len(self.ontology),
            "unknown_classes": dict(most),
        }


def open_knowledge(paths: Sequence[Path], language: str, wiki: str = "") -> Knowledge:
    """Detect the kinds of the files at `paths`, and read the classes and the wiki's mappings; rows are read later.

    `wiki` is the name of the wiki's database, if it is known.
    """
    language = language.lower()
    exports = [(file, detect_export(file.path)) for file in find_all([*map(Path, paths)])]
    # The ontology first, as only its classes tell what a table's cells are
    first = next((file for file, export in exports if export and export.kind == SourceKind.ONTOLOGY), None)
    ontology = _read_file(first, partial(read_ontology, language=language)) if first else Ontology({})
    files = ((file, export or detect_lines(file.path, ontology)) for file, export in exports)
    sources, passed_over = _choose_sources(files, editions(wiki, language))
    _check_sources(sources, passed_over)
    return Knowledge(language, ontology, tuple(sources), tuple(passed_over), wiki=wiki)


def _check_sources(sources: Sequence[KnowledgeSource], passed_over: Sequence[tuple[str, str]]) -> None:
    """Raise InputError unless a source gives titles a class, or if too many do."""
    if not any(source.gives_classes for source in sources):
        seen = "; ".join(f"{name}: {why}" for name, why in passed_over[:5])
        seen = seen or (f"only {sources[0].kind}, without a class" if sources else "no file")
        raise InputError(f"--knowledge: nothing there gives titles a class ({seen}); {UNDERSTOOD}")
    if (ranked := sum(source.ranked for source in sources)) > MOST_SOURCES:
        raise InputError(f"{ranked} files give titles a class, more than {MOST_SOURCES}: join some")


def _choose_sources(
    files: Iterable[tuple[FoundFile, Detected]], ours: Collection[str]
) -> tuple[list[KnowledgeSource], list[tuple[str, str]]]:
    """Return the files to use, with the mappings they contain, and the names of the others with the reasons."""
    sources = list[KnowledgeSource]()
    passed_over = list[tuple[str, str]]()
    used = set[Path | SourceKind]()
    for file, detected in files:
        path = file.path.resolve()
        # Another reason is more useful than that the file was named twice
        why = _why_not(file, detected, ours) or _why_again(path, detected.kind, used)
        if why or not detected.kind:
            passed_over.append((file.name, why))
        else:
            mappings = _read_file(file, read_mappings) if detected.kind == SourceKind.MAPPING else None
            sources.append(KnowledgeSource(file, detected.kind, mappings))
            used |= {path, detected.kind}
    return sources, passed_over


def _read_file(file: FoundFile, read: Callable[[IO[bytes], Path | str], _Read]) -> _Read:
    with open_plain(file.path) as stream:
        return read(stream, file.path)


def _why_not(file: FoundFile, detected: Detected, ours: Collection[str]) -> str:
    """Return why a file is skipped, "" if it is used; raise InputError if it was named directly and is unknown."""
    # A file in a folder may be anything, but one named directly is meant to be used
    if detected.unknown and file.direct:
        raise InputError(f"{file.path}: {detected.why}; {UNDERSTOOD}")
    if detected.why:
        return detected.why
    if detected.language and detected.language not in ours:
        return f"{detected.kind} of another language ({detected.language}) than the dump's ({', '.join(ours)})"
    return ""


def _why_again(path: Path, kind: SourceKind | None, used: Collection[Path | SourceKind]) -> str:
    if path in used:
        return "named before"
    return "a second ontology; the one named first is used" if kind == SourceKind.ONTOLOGY and kind in used else ""
