"""A domain's file: its header, which lists the types that are marked in it, and its passages.

`# domain:`, `# genre:`, from version 2 on `# names: real`, `invented` or `mixed`, perhaps `# nested: yes`, and a line
`# type: NAME < BROADER: DESCRIPTION` for each type (`< BROADER` may be missing); then a passage a line, as
`nerbert.formats.marked` reads it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nerbert.errors import InputError
from nerbert.formats.json_files import object_line
from nerbert.formats.marked import Marked
from nerbert.records import Document, Repairs, Span

NAME = "open-types"
"""The data set's name, and that of its folder."""
PASSAGES = Path(__file__).with_name("passages")
_TYPE = re.compile(r"# type:\s*([^:<]+?)\s*(?:<\s*([^:<]+?)\s*)?:\s*(\S.*)")
_FACT = re.compile(r"# (domain|genre|nested|names):\s*(\S.*)")
_YES = {"yes": True, "no": False}
NAMES = ("", "real", "invented", "mixed")
"""Whose names a file has; "" for the files of version 1, which don't say it."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type of a domain: its broader type there ("" for none), and what it means."""

    name: str
    broader: str
    description: str


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

    @property
    def version(self) -> int:
        """The version of the set that the file came with."""
        return 2 if self.names else 1

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
    return Domain(path.stem, facts["domain"], facts["genre"], _YES[facts["nested"]], facts["names"], types, passages)


def _header(path: Path) -> tuple[dict[str, str], dict[str, Type]]:
    facts, types = {"domain": "", "genre": "", "nested": "no", "names": ""}, dict[str, Type]()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.startswith("# type:"):
            found = _TYPE.fullmatch(line)
            if not found or found[1] in types:
                raise InputError(f"{path}:{number}: {line!r:.80}: must be '# type: NAME < BROADER: DESCRIPTION', once")
            types[found[1]] = Type(found[1], found[2] or "", found[3].strip())
        elif fact := _FACT.fullmatch(line):
            facts[fact[1]] = fact[2].strip()
        elif line.startswith("#"):
            raise InputError(f"{path}:{number}: {line!r:.60}: is no line of a header; write \\# if it is a passage")
    for each in types.values():
        if each.broader and each.broader not in types:
            raise InputError(f"{path}: type {each.name!r}: its broader type {each.broader!r} has no line of its own")
    if not (facts["domain"] and facts["genre"]):
        raise InputError(f"{path}: needs '# domain:' and '# genre:'")
    return facts, types


def read_domains(folder: Path = PASSAGES) -> Iterator[Domain]:
    """Yield the domains of a folder by name."""
    for path in sorted(folder.glob("*.marked")):
        yield read_domain(path)
