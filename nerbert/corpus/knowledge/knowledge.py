"""Titles and their classes: from DBpedia's exports, its type triples, and tables of titles.

The choice: sources are asked in the order in which they were named, and the first that types a title wins; tables and
triples are streamed, and only wanted titles kept. The price: each build reads every table whole, and damage at the end
of one shows only then. Triples of another edition are passed over; those of http://dbpedia.org/resource/ count for
every language, as tables do, though their titles are English.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from nerbert.corpus.knowledge.answers import RowFormat, Tally, TypedTitle, ask_infoboxes, ask_mappings, ask_rows
from nerbert.corpus.knowledge.mappings import Mappings, read_mappings
from nerbert.corpus.knowledge.ontology import Ontology, read_ontology
from nerbert.corpus.knowledge.sources import Found, find_all, open_plain, parse_row, parse_triple
from nerbert.corpus.knowledge.telling import UNDERSTOOD, Kind, Told, is_header, tell_export, tell_lines
from nerbert.errors import InputError
from nerbert.files import sha256_of
from nerbert.records import Infobox

__all__ = ["INFOBOX", "Knowledge", "Source", "TypedTitle", "open_knowledge"]

INFOBOX = "infobox"
"""The source of a title that an infobox mapping typed."""
_UNKNOWN_NAMED = 20
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is used: what it holds, and its mappings if it holds those."""

    found: Found
    kind: Kind
    mappings: Mappings | None = None

    @property
    def name(self) -> str:
        """What a title typed by this source names as its source."""
        return INFOBOX if self.mappings else self.found.name

    def report(self, tally: Tally) -> dict[str, object]:
        """The source and its counts, fit for JSON."""
        dropped = {reason.value: count for reason, count in sorted(tally.dropped.items())}
        counts = {"rows": tally.rows, "typed": tally.typed, "other_rows": tally.other_rows, "dropped": dropped}
        where = {"path": self.found.name, "kind": self.kind.value, "sha256": tally.sha256}
        return {**where, **counts, "bad_rows": list(tally.bad_rows)}


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The sources in the order in which they were named, the classes, and what was passed over and why."""

    language: str
    ontology: Ontology
    sources: tuple[Source, ...]
    passed_over: tuple[tuple[str, str], ...]
    tallies: list[Tally] = field(default_factory=list)

    def type_titles(
        self,
        wanted: Collection[str],
        pages: Iterable[tuple[str, Sequence[Infobox]]],
        template_redirects: Mapping[str, str],
    ) -> dict[str, TypedTitle]:
        """Type the `wanted` titles; they and the redirects' templates are normalised as `normalise_title` does.

        `pages` is read once, and only if there are mappings; memory grows with `wanted` alone.
        """
        wanted = wanted if isinstance(wanted, Set | Mapping) else set(wanted)
        self.tallies[:] = [Tally(sha256_of(source.found.path)) for source in self.sources]
        mappings = [source.mappings for source in self.sources if source.mappings]
        by_infobox = iter(ask_infoboxes(mappings, wanted, pages, template_redirects))
        typed: dict[str, TypedTitle] = {}
        for source, tally in zip(self.sources, self.tallies, strict=True):
            if source.mappings:
                new = ask_mappings(source.mappings, self.ontology, next(by_infobox), typed, tally)
            elif source.kind == Kind.ONTOLOGY:
                new, tally.rows = {}, len(self.ontology)
            else:
                rows = _row_format(source.kind, self.language)
                new = ask_rows(source.found, rows, self.ontology, wanted=wanted, typed=typed, tally=tally)
            shared = {path: TypedTitle(path, source.name) for path in new.values()}
            typed.update((title, shared[path]) for title, path in new.items())
            tally.typed = len(new)
        return typed

    def report(self) -> dict[str, object]:
        """What was used, what was passed over and why, fit for JSON; the counts are those of the last `type_titles`."""
        tallies = self.tallies or [Tally() for _ in self.sources]
        unknown = Counter[str]()
        for tally in tallies:
            unknown.update(tally.unknown)
        most = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:_UNKNOWN_NAMED]
        return {
            "used": [source.report(tally) for source, tally in zip(self.sources, tallies, strict=True)],
            "passed_over": [{"path": path, "why": why} for path, why in self.passed_over],
            "classes": len(self.ontology),
            "unknown_classes": dict(most),
        }


def open_knowledge(paths: Sequence[Path], language: str) -> Knowledge:
    """Tell what the files at `paths` hold, read classes and the mappings of `language`; rows are read when typing."""
    exports = [(found, tell_export(found.path)) for found in find_all([Path(path) for path in paths])]
    ontology = _first_ontology(exports)
    mappings = {
        found: _read(found, read_mappings)
        for found, told in exports
        if told and told.kind == Kind.MAPPING and told.language == language.lower()
    }
    sources: list[Source] = []
    passed_over: list[tuple[str, str]] = []
    for found, export in exports:
        told = export or tell_lines(found.path, ontology, lambda name: any(m.knows(name) for m in mappings.values()))
        why = _why_not(found, told, language.lower(), sources)
        if why or not told.kind:
            passed_over.append((found.name, why))
        else:
            sources.append(Source(found, told.kind, mappings.get(found)))
    if all(source.kind == Kind.ONTOLOGY for source in sources):
        seen = "; ".join(f"{name}: {why}" for name, why in passed_over[:5])
        seen = seen or ("only classes" if sources else "no file")
        raise InputError(f"--knowledge: nothing there gives titles a class ({seen}); {UNDERSTOOD}")
    return Knowledge(language.lower(), ontology, tuple(sources), tuple(passed_over))


def _read(found: Found, read: Callable[[IO[bytes], Path | str], _Read]) -> _Read:
    with open_plain(found.path) as stream:
        return read(stream, found.path)


def _first_ontology(exports: Iterable[tuple[Found, Told | None]]) -> Ontology:
    for found, told in exports:
        if told and told.kind == Kind.ONTOLOGY:
            return _read(found, read_ontology)
    return Ontology.of({})


def _row_format(kind: Kind, language: str) -> RowFormat:
    if kind == Kind.TABLE:
        return RowFormat(parse_row, is_header, deepest=False)
    return RowFormat(partial(parse_triple, language=language), lambda _: False, deepest=True)


def _why_not(found: Found, told: Told, language: str, used: Sequence[Source]) -> str:
    """Say why a file is passed over, "" if it is used; a file of unknown content that was named itself is an error."""
    if told.unknown and found.direct:
        raise InputError(f"{found.path}: {told.why}; {UNDERSTOOD}")
    if told.why:
        return told.why
    if told.language not in ("", language):
        return f"{told.kind} of another language ({told.language}) than the dump's ({language})"
    if any(source.found.path.resolve() == found.path.resolve() for source in used):
        return "named before"
    if told.kind == Kind.ONTOLOGY and any(source.kind == Kind.ONTOLOGY for source in used):
        return "a second ontology; the one named first is used"
    return ""
