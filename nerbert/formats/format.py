"""The protocol of an annotation format, a class registered in `FORMATS`; format detection and reading.

A format returns spans as written in a file; `nerbert.formats.documents` repairs them, in the same way for all formats.
The first format that recognises a file reads it; formats with its suffix come first. Cost: a file is opened twice.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nerbert.errors import InputError, need, refused
from nerbert.formats.documents import Reading, prepare_documents
from nerbert.formats.lines import UTF_16, is_utf16
from nerbert.records import Document, Example, Repairs
from nerbert.registry import Registry

_HEAD = 1 << 20
"""Number of bytes of a file used to detect its format."""
_FOREIGN_BEGINS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive (unpack it first)",
    b"\x1f\x8b": "compressed with gzip (unpack it first)",
    b"BZh": "compressed with bz2 (unpack it first)",
    b"\xfd7zXZ": "compressed with xz (unpack it first)",
    b"\xd0\xcf\x11\xe0": "an Office document (save it as text)",
    b"%PDF": "PDF",
}
_OFFICE = {
    (".docx", ".doc", ".odt", ".rtf"): "a Word document (save it as text)",
    (".xlsx", ".xls", ".ods"): "an Excel workbook (save it as CSV)",
}
_BINARY = 1 << 12
"""Number of bytes at the beginning of a file that are searched for zeros, which text doesn't contain."""
_GONE = {
    re.compile(
        r'\A\[?\s*\[\s*"(?:[^"\\]|\\.)*+"\s*,\s*\{\s*"entities"'
    ): "spaCy's tuples (save them as DocBin, .spacy)",
    re.compile(r"\A[^>]*>?\s*<xmi:XMI\b"): "UIMA XMI (export its named entities as CoNLL 2002)",
    re.compile(r'"%FEATURE_STRUCTURES"\s*:'): "UIMA JSON (export its named entities as CoNLL 2002)",
    re.compile(r"\A#FORMAT=WebAnno TSV"): "WebAnno TSV (export its named entities as CoNLL 2002)",
    re.compile(r'"(?:annotation|prediction)_agent"\s*:'): "records of Argilla 1 (export them from Argilla 2)",
    re.compile(r'"[^"]+\.(?:responses|suggestion)"\s*:'): "flat records of Argilla (export them by records.to_json)",
}
"""Patterns of exports that are no longer read, and the exports to use instead."""
_KEY = re.compile(r'"(\w+)"\s*:')

Fields = Callable[[Document], Mapping[str, Any]]
"""Returns those fields of a document that can be read back from a file."""


def fields_without(*reserved: str) -> Fields:
    """Return a function that returns all fields except those whose names the format itself uses."""
    return lambda document: {name: value for name, value in document.fields.items() if name not in reserved}


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """The information that a format keeps of a document, besides the positions and types of its entities."""

    text: Literal["whole", "line", "sentences", "words"] = "whole"
    """The whole text; a text of one line; its sentences, each a text with words; only words, joined by spaces."""
    words: bool = True
    """Word boundaries."""
    groups: bool | Literal["adjacent"] = True
    """Membership of texts in documents; `adjacent`: only if the texts of a document follow each other."""
    tagged: bool = True
    """The mark of a text that only a model tagged."""
    confidences: Literal["all", "tagged", "none"] = "all"
    """Confidences of all texts, of those that only a model tagged, or none."""
    fields: Fields = lambda document: document.fields
    nested: bool = False
    """Nested entities."""


@dataclass(frozen=True, slots=True)
class WritingRows:
    """Options for writing texts one by one: the sentence splitter, all types, and whether the output is a terminal."""

    sentences: Callable[[str], Iterable[tuple[int, Example]]]
    types: Iterable[str] = ()
    terminal: bool = False


TextWriter = Callable[[Document], bytes]
"""Returns the bytes of a text with its entities."""
LEAST = Abilities(text="line", words=False, groups=False, tagged=False, confidences="none", fields=lambda _: {})
"""Abilities of a format that keeps only texts of one line and their entities."""


class Format(Protocol):
    """An annotation format; a class that is instantiated without arguments, or with its option `tag_column`.

    A format that needs a library names an extra of nerbert and the modules: `needs = ("spacy", "spacy")`. `nerbert tag`
    uses further members if a format has them (docs/extending/format.md).
    """

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes in lower case (`.conll`); files are written with the first. Formats of folders have none."""

    @property
    def holds(self) -> Abilities:
        """The parts of a document that a file keeps."""

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file that begins with these bytes (1 MB at most), or a folder, is in this format."""

    def read(self, source: Path, repairs: Repairs, /) -> Iterator[Document]:
        """Yield the documents of a file or folder, in order, while reading; count omissions in `repairs`.

        Raise InputError that names the line, by `nerbert.errors.at`. A format with `streams` accepts a `Stream`, too,
        and yields its texts, with all other fields.
        """

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents so that `read` yields them again; their spans count characters and don't overlap."""


FORMATS: Registry[Callable[[], Format]] = Registry(
    "format",
    "nerbert.formats",
    {
        "conll": "nerbert.formats.conll:Conll",
        "spacy": "nerbert.formats.spacy:SpacyDocBin",
        "gliner": "nerbert.formats.exports:Gliner",
        "label-studio": "nerbert.formats.label_studio:LabelStudio",
        "prodigy": "nerbert.formats.exports:Prodigy",
        "argilla": "nerbert.formats.exports:Argilla",
        "doccano": "nerbert.formats.exports:Doccano",
        "jsonl": "nerbert.formats.jsonl:JsonLines",
        "brat": "nerbert.formats.brat:Brat",
        "marked": "nerbert.formats.marked:Marked",
        "csv": "nerbert.formats.tables:Tables",
        "parquet": "nerbert.formats.parquet:Parquet",
        "datasets": "nerbert.formats.parquet:Datasets",
    },
    members=("recognise", "read", "write"),
)
"""The formats of annotated sentences, in the order in which they are tried on a file."""


def check_needs(format_: Format) -> Format:
    """Return a format; raise MissingExtra if a library that it needs is missing."""
    if needs := getattr(format_, "needs", ()):
        need(*needs)
    return format_


def known_formats() -> dict[str, Format]:
    """Return all formats by name, in the order in which they are tried."""
    return {name: FORMATS.find(name)() for name in FORMATS}


def abilities(format_: Format) -> Abilities:
    """Return a format's abilities; older formats of users may not declare them."""
    return getattr(format_, "holds", LEAST)


def formats_of_suffix(suffix: str) -> list[str]:
    """Return the names of the formats with a suffix, in the order in which they are tried."""
    return [name for name, format_ in known_formats().items() if suffix in format_.suffixes]


def read_documents(path: Path, reading: Reading | None = None, repairs: Repairs | None = None) -> Iterator[Document]:
    """Yield the documents of a file or folder; their spans are sorted, disjoint and in characters.

    Raise InputError that names file and line. `repairs` counts repairs and omissions.
    """
    reading = reading or Reading()
    counts = Repairs() if repairs is None else repairs
    with refused(f"{path}: can't be read", of=OSError):
        kind: Any = FORMATS.find(reading.from_ or name_format(path))
        options = {"tag_column": reading.tag_column} if reading.tag_column else {}
        # An option that has no effect would hide a mistake
        if options and not hasattr(kind, "tag_column"):
            raise InputError(f"{path}: its format has no tag_column (--tag-column); leave that out")
        format_ = check_needs(kind(**options))
        yield from prepare_documents(path, lambda count: format_.read(path, count), reading, counts)


def find_format(path: Path, name: str = "") -> Format:
    """Return the format of this name, or that of the file; raise InputError for a file in an unsupported format."""
    return FORMATS.find(name or name_format(path))()


def name_format(path: Path) -> str:
    """Return the name of a file's format; raise InputError for an unsupported one."""
    if recognised := recognise_format(path):
        return recognised
    guess = foreign(head_of(path), path.name.lower())
    names = [name for name, format_ in _by_suffix(path) if path.name.lower().endswith(format_.suffixes)]
    if names and not guess:
        # The last format of a suffix is the most general; its reader names the fault
        return names[-1]
    seems = f"seems to be {guess}" if guess else "is in no known format"
    raise InputError(f"{path}: {seems}; formats are {', '.join(FORMATS)}, or your own with --from module:name")


def recognise_format(path: Path) -> str:
    """Return the name of a file's format, detected from its content; "" if no format recognises it."""
    with refused(f"{path}: can't be read", of=OSError):
        head = head_of(path)
        return next((name for name, format_ in _by_suffix(path) if format_.recognise(path, head)), "")


def foreign(head: bytes, name: str) -> str:
    """Return a guess at the unsupported content of a file from its first bytes, such as `PDF`; "" for no guess. JSON
    with a suffix of JSON is left to its reader, which names the line and the fault.
    """
    text = head.decode("utf-8-sig", "replace").lstrip()
    gone = next((tool for mark, tool in _GONE.items() if mark.search(text)), "")
    if guess := next((tool for magic, tool in _FOREIGN_BEGINS.items() if head.startswith(magic)), gone):
        # An Office document is a zip archive, too; the name tells which
        return next((tool for suffixes, tool in _OFFICE.items() if name.endswith(suffixes)), guess)
    if is_utf16(head):
        return UTF_16
    if b"\0" in head[:_BINARY]:
        return "binary, or text in another encoding than UTF-8"
    if text.startswith(("{", "[")) and (keys := sorted(set(_KEY.findall(text)))):
        return "" if name.endswith((".jsonl", ".ndjson", ".json")) else f"JSON with {', '.join(keys):.60}"
    return "XML or HTML" if text.startswith("<") else ""


def _by_suffix(path: Path) -> list[tuple[str, Format]]:
    """Return all formats with their names, those of the file's suffix first."""
    return sorted(known_formats().items(), key=lambda item: not path.name.lower().endswith(item[1].suffixes))


def head_of(path: Path) -> bytes:
    """Return the beginning of a file; b"" for a folder."""
    if path.is_dir():
        return b""
    with path.open("rb") as stream:
        return stream.read(_HEAD)
