"""Detect a file's format, and read its documents or training sentences.

The first format that recognises a file is taken, those with its suffix first. Cost: a file is opened twice.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.errors import InputError, at, os_refused
from nerbert.formats.documents import Reading, no_sentence, prepared, sentences_of
from nerbert.formats.format import Format, known_formats, usable
from nerbert.formats.rows import UTF_16, is_utf16
from nerbert.records import Document, Example, Repair, Repairs
from nerbert.registry import FORMATS

_HEAD = 1 << 20
"""Bytes of a file used to detect its format."""
_FOREIGN_BEGINS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive (unpack it first)",
    b"\x1f\x8b": "compressed with gzip (unpack it first)",
    b"BZh": "compressed with bz2 (unpack it first)",
    b"\xfd7zXZ": "compressed with xz (unpack it first)",
    b"%PDF": "PDF",
}
_BINARY = 1 << 12
"""Number of first bytes among which text has no zero."""
_GONE = {
    re.compile(
        r'\A\[?\s*\[\s*"(?:[^"\\]|\\.)*+"\s*,\s*\{\s*"entities"'
    ): "spaCy's tuples (save them as DocBin, .spacy)",
    re.compile(r'"(?:annotation|prediction)_agent"\s*:'): "records of Argilla 1 (export them from Argilla 2)",
    re.compile(r'"[^"]+\.(?:responses|suggestion)"\s*:'): "flat records of Argilla (export them by records.to_json)",
}
"""The beginnings of exports that are no longer read, and the exports to choose."""
_KEY = re.compile(r'"(\w+)"\s*:')


def read_documents(path: Path, reading: Reading | None = None, repairs: Repairs | None = None) -> Iterator[Document]:
    """Yield what a file (or a folder of a format of folders) holds, its spans in order, apart and in characters.

    Raise InputError that names file and line. `repairs` counts what is repaired or left out.
    """
    reading, counts = reading or Reading(), Repairs() if repairs is None else repairs
    with os_refused(f"{path}: can't be read"):
        kind = usable(find_format(path, reading.from_))
        yield from prepared(path, lambda wanted: kind.read(path, wanted), reading, counts)


def annotated(documents: Iterable[Document], repairs: Repairs) -> Iterator[Document]:
    """Yield the documents that people annotated; those that only a model tagged are counted and left out."""
    for document in documents:
        if document.tagged:
            repairs[Repair.UNANNOTATED] += 1
        else:
            yield document


def read_examples(path: Path, reading: Reading | None = None, repairs: Repairs | None = None) -> list[Example]:
    """Return the sentences that people annotated in a file; raise InputError if there are none.

    A text that only a model tagged is left out and counted: nobody looked for the entities that it lacks.
    """
    counts = Repairs() if repairs is None else repairs
    documents = annotated(read_documents(path, reading, counts), counts)
    examples = [each for document in documents for each in examples_of(path, document, reading, counts)]
    if not examples:
        raise InputError(f"{path}: {no_sentence(counts)}")
    return examples


def examples_of(path: Path, document: Document, reading: Reading | None, repairs: Repairs) -> list[Example]:
    """Return the sentences of a document of a file, which errors name."""
    with at(path, document.line or None):
        return sentences_of(document, reading, repairs)


def find_format(path: Path, format_: str = "") -> Format:
    """Return the given format, or that of a file; raise InputError for a file of an unsupported format."""
    if format_:
        return FORMATS.find(format_)()
    if found := recognised(path):
        return found
    what = foreign(head_of(path), path.name.lower())
    named = [each for each in _by_suffix(path) if path.name.lower().endswith(each.suffixes)]
    if named and not what:
        return named[-1]  # of one suffix the last format is the most open; its reader names the fault
    seems = f"seems to be {what}" if what else "is in no known format"
    raise InputError(f"{path}: {seems}; formats are {', '.join(FORMATS)}, or your own with --from module:name")


def recognised(path: Path) -> Format | None:
    """Return the format of a file by its content; None if no format recognises it."""
    with os_refused(f"{path}: can't be read"):
        head = head_of(path)
        return next((each for each in _by_suffix(path) if each.recognise(path, head)), None)


def foreign(head: bytes, name: str) -> str:
    """Return a guess at the unsupported content of a file from its first bytes, such as `PDF`; "" for no guess. JSON in
    a file named as such is left to its reader, which names the line and the fault.
    """
    text = head.decode("utf-8-sig", "replace").lstrip()
    gone = next((what for mark, what in _GONE.items() if mark.search(text)), "")
    if found := next((tool for magic, tool in _FOREIGN_BEGINS.items() if head.startswith(magic)), gone):
        return found
    if is_utf16(head):
        return UTF_16
    if b"\0" in head[:_BINARY]:
        return "binary, or text in another encoding than UTF-8"
    if text.startswith(("{", "[")) and (keys := sorted(set(_KEY.findall(text)))):
        return "" if name.endswith((".jsonl", ".ndjson", ".json")) else f"JSON with {', '.join(keys):.60}"
    return "XML or HTML" if text.startswith("<") else ""


def _by_suffix(path: Path) -> list[Format]:
    """Return all formats, those of the file's suffix first."""
    return sorted(known_formats().values(), key=lambda each: not path.name.lower().endswith(each.suffixes))


def head_of(path: Path) -> bytes:
    """Return the beginning of a file; nothing for a folder."""
    if path.is_dir():
        return b""
    with path.open("rb") as stream:
        return stream.read(_HEAD)
