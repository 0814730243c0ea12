"""A domain's file: its header, which lists the types that are marked in it, and its passages.

`# domain:`, `# genre:`, from version 2 on `# names: real`, `invented` or `mixed`, in later ones `# since: 3`, perhaps
`# nested: yes`, and a line `# type: NAME < BROADER: DESCRIPTION` for each type (`< BROADER` may be missing); then a
passage a line, as `nerbert.formats.marked` reads it. A file in another language than English has `# language: de` and,
for each type, a line `# native: NAME = its name there, another one`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nerbert.errors import InputError
from nerbert.formats.json_files import object_line
from nerbert.formats.marked import Marked
from nerbert.records import Document, Repairs, Span

NAME = "open-types"
"""The data set's name, and that of its folder."""
PASSAGES = Path(__file__).with_name("passages")
LANGUAGES = Path(__file__).with_name("languages")
"""The folder of other languages, a folder each."""
_TYPE = re.compile(r"# type:\s*([^:<]+?)\s*(?:<\s*([^:<]+?)\s*)?:\s*(\S.*)")
_NATIVE = re.compile(r"# native:\s*([^=]+?)\s*=\s*(\S.*)")
_FACT = re.compile(r"# (language|domain|genre|nested|names|since):\s*(\S.*)")
_YES = {"yes": True, "no": False}
ENGLISH = "en"
NAMES = ("", "real", "invented", "mixed")
"""Whose names a file has; "" for the files of version 1, which don't say it."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type of a domain: its broader type there ("" for none), what it means, and its names in the texts' language."""

    name: str
    broader: str
    description: str
    native: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    """What a file holds; passages have the marks as they are written, without broader types."""

    name: str
    domain: str
    genre: str
    nested: bool
    names: str
    types: dict[str, Type]
    passages: list[Document]
    language: str = ENGLISH
    since: str = ""
    """The version of the set that the file came with, in files of version 3 on."""

    @property
    def version(self) -> int:
        """The version of the set that the file came with."""
        if self.language != ENGLISH:
            return 3
        return int(self.since or bool(self.names) + 1)

    def broader(self, type_: str) -> list[str]:
        """Return a type and the broader ones above it, the narrowest first."""
        found = [type_]
        while (above := self.types[found[-1]].broader) and above not in found:
            found.append(above)
        return found

    def entities(self, passage: Document) -> list[Span]:
        """Return the marks of a passage, each followed by the same span with its broader types."""
        spans = [
            Span(span.start, span.end, type_, span.text) for span in passage.spans for type_ in self.broader(span.type)
        ]
        return list(dict.fromkeys(spans))

    def line_of(self, passage: Document) -> bytes:
        """Return a passage as a line of open types."""
        entities = [
            {"start": each.start, "end": each.end, "type": each.type, "description": self.types[each.type].description}
            for each in self.entities(passage)
        ]
        fields = {"text": passage.text, "entities": entities, "asked": list(self.types)}
        if self.language != ENGLISH:
            natives = {name: list(type_.native) for name, type_ in self.types.items()}
            fields |= {"other_names": natives, "language": self.language}
        return object_line(fields | {"domain": self.name, "genre": self.genre})


def read_domain(path: Path) -> Domain:
    """Return a domain; raise InputError with file and line for a broken header, or marks of types not listed."""
    facts, types = _header(path)
    if facts["nested"] not in _YES:
        raise InputError(f"{path}: '# nested: {facts['nested']}' must be yes or no")
    if facts["names"] not in NAMES:
        raise InputError(f"{path}: '# names: {facts['names']}' must be real, invented or mixed")
    passages = list(Marked().read(path, Repairs()))
    for passage in passages:
        for span in passage.spans:
            if span.type not in types:
                raise InputError(f"{path}:{passage.line}: type {span.type!r} is not listed at the top of the file")
    nested, language = _YES[facts["nested"]], facts["language"]
    kind = facts["domain"], facts["genre"], nested, facts["names"]
    return Domain(path.stem, *kind, types, passages, language, facts["since"])


def _header(path: Path) -> tuple[dict[str, str], dict[str, Type]]:
    facts = {"domain": "", "genre": "", "nested": "no", "names": "", "language": ENGLISH, "since": ""}
    types, natives = dict[str, Type](), dict[str, tuple[str, ...]]()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.startswith("# type:"):
            found = _TYPE.fullmatch(line)
            if not found or found[1] in types:
                raise InputError(f"{path}:{number}: {line!r:.80}: must be '# type: NAME < BROADER: DESCRIPTION', once")
            types[found[1]] = Type(found[1], found[2] or "", found[3].strip())
        elif native := _NATIVE.fullmatch(line):
            natives[native[1]] = tuple(map(str.strip, native[2].split(",")))
        elif fact := _FACT.fullmatch(line):
            facts[fact[1]] = fact[2].strip()
        elif line.startswith("#"):
            raise InputError(f"{path}:{number}: {line!r:.60}: is no line of a header; write \\# if it is a passage")
    if not (facts["domain"] and facts["genre"]):
        raise InputError(f"{path}: needs '# domain:' and '# genre:'")
    _check_types(path, types, natives, english=facts["language"] == ENGLISH)
    return facts, {name: replace(type_, native=natives.get(name, ())) for name, type_ in types.items()}


def _check_types(path: Path, types: dict[str, Type], natives: dict[str, tuple[str, ...]], *, english: bool) -> None:
    for each in types.values():
        if each.broader and each.broader not in types:
            raise InputError(f"{path}: type {each.name!r}: its broader type {each.broader!r} has no line of its own")
    if odd := natives.keys() ^ (set() if english else types.keys()):
        raise InputError(f"{path}: '# native:' is for each type of a file in another language: {sorted(odd)[0]!r}")


def path_of(name: str) -> Path:
    """Return the file of a domain."""
    return next(LANGUAGES.rglob(f"{name}.marked"), PASSAGES / f"{name}.marked")


def read_domains(*folders: Path) -> Iterator[Domain]:
    """Yield the domains of folders by name; of none, the English ones and those of other languages."""
    for folder in folders or (PASSAGES, LANGUAGES):
        for path in sorted(folder.rglob("*.marked")):
            yield read_domain(path)
