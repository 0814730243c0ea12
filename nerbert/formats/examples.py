"""Detect a file's format, and read its documents or training sentences.

The first format that recognises a file is taken, those with its suffix first. Cost: a file is opened twice.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.errors import InputError, at, os_refused
from nerbert.formats.documents import Reading, no_sentence, prepared, sentences_of
from nerbert.formats.format import Format, format_name, known_formats, usable
from nerbert.formats.rows import LONGEST_LINE, UTF_16, is_utf16
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
_FOR_PEOPLE = re.compile(r"^  \d+–\d+  \S.*  [01]\.\d\d  ", re.MULTILINE)
_BINARY = 1 << 12
"""Number of first bytes among which text has no zero."""
_LINES, _WORDS, _LONG = 200, 4, 20
"""Prose: how many lines to look at, and the minimum words of one, or characters without spaces."""
_MARK = re.compile(r"\[[^\[\]|]+\|[^\[\]|]+")
_GONE = {
    re.compile(
        r'\A\[?\s*\[\s*"(?:[^"\\]|\\.)*+"\s*,\s*\{\s*"entities"'
    ): "spaCy's tuples (save them as DocBin, .spacy)",
    re.compile(r'"(?:annotation|prediction)_agent"\s*:'): "records of Argilla 1 (export them from Argilla 2)",
    re.compile(r'"[^"]+\.(?:responses|suggestion)"\s*:'): "flat records of Argilla (export them by records.to_json)",
    re.compile(r'"annotation_id"\s*:'): "Label Studio's JSON-MIN (export JSON)",
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
    from nerbert.formats.json_files import json_fault

    head = head_of(path)
    other = foreign(head, path.name.lower())
    if other.startswith("JSON") and (fault := json_fault(head)):
        raise InputError(f"{path}: {fault}")
    if other == UTF_16:
        raise InputError(f"{path}: seems to be {other}")
    is_table = path.suffix.lower() in (".csv", ".tsv", ".tab")  # its reader says which columns it lacks
    if other and not (other == "CSV" and is_table):
        known = ", ".join(FORMATS)
        raise InputError(f"{path}: seems to be {other}; formats are {known}, or your own with --from module:name")
    cells = is_table and re.search(rb"[,;\t]\S", head.partition(b"\n")[0])
    if not (other or cells) and (what := unannotated(head)):
        raise InputError(f"{path}: seems to be {what}; if it isn't, name its format with --from")
    named = [each for each in _by_suffix(path) if path.name.lower().endswith(each.suffixes)]
    return named[-1] if named else FORMATS.find(next(iter(FORMATS)))()  # of one suffix the last format is the most open


def recognised(path: Path) -> Format | None:
    """Return the format of a file by its content; None if no format recognises it."""
    with os_refused(f"{path}: can't be read"):
        head = head_of(path)
        first = head[:_HEAD]  # the rest is for those that read a whole JSON value
        wants_value = ((each, getattr(each, "by_value", False)) for each in _by_suffix(path))
        return next((each for each, whole in wants_value if each.recognise(path, head if whole else first)), None)


def name_of(path: Path) -> str:
    """Return the name of the format of a file or folder, by its content; "" if no format recognises it."""
    return format_name(recognised(path))


def foreign(head: bytes, name: str) -> str:
    """Return a guess at the unsupported content of a file from its first bytes, such as `CSV`; "" for no guess. JSON in
    a file named as JSON lines is left to their reader, which names the line and the fault.
    """
    text = head.decode("utf-8-sig", "replace").lstrip()
    if found := next((tool for magic, tool in _FOREIGN_BEGINS.items() if head.startswith(magic)), gone_export(text)):
        return found
    utf16 = is_utf16(head)
    if utf16 or b"\0" in head[:_BINARY]:
        return UTF_16 if utf16 else "binary, or text in another encoding than UTF-8"
    if text.startswith(("{", "[")) and (keys := sorted(set(_KEY.findall(text)))):
        return "" if name.endswith((".jsonl", ".ndjson")) else f"JSON with {', '.join(keys):.60}"
    if text.startswith("<"):
        return "XML or HTML"
    if _FOR_PEOPLE.search(text):
        return "text that was tagged for people (give `nerbert tag` --to jsonl)"
    lines = [line for line in text.splitlines()[:20] if line]
    counts = [{line.count(cut) - line.count(f"{cut} ") for line in lines} for cut in ",;"]  # prose has a space behind
    return "CSV" if len(lines) > 1 and any(len(each) == 1 and each != {0} for each in counts) else ""


def gone_export(text: str) -> str:
    """Return which export that is no longer read begins like this, and the one to choose; "" for none."""
    return next((what for mark, what in _GONE.items() if mark.search(text)), "")


def unannotated(head: bytes) -> str:
    """Return a guess at text that no format recognises, from its beginning: marked, or prose; "" for no guess."""
    text = head[:_HEAD].decode("utf-8-sig", "replace")
    lines = [line.strip() for line in text.splitlines()[:_LINES] if line.strip() and not line.startswith("#")]
    if lines and sum(bool(_MARK.search(line)) for line in lines) > len(lines) / 2:
        return "marked text (give it a name that ends in .marked, or --from marked)"
    words = [len(line.split()) for line in lines]
    is_long = sum(
        count >= _WORDS or (len(line) > _LONG and not line.isascii())  # Chinese, say
        for line, count in zip(lines, words, strict=True)
    )
    is_table = any("\t" in line or line.startswith(("{", "[", "<")) for line in lines)
    if is_long > len(lines) / 2 and not is_table and (len(lines) == 1 or len(set(words)) > 1):
        return "untagged text (mark its entities, say [Oslo|city], and give it a name that ends in .marked)"
    return ""


def _by_suffix(path: Path) -> list[Format]:
    """Return all formats, those of the file's suffix first."""
    return sorted(known_formats().values(), key=lambda each: not path.name.lower().endswith(each.suffixes))


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, with the whole of a first JSON value; nothing for a folder."""
    if path.is_dir():
        return b""
    from nerbert.formats.json_files import is_cut  # loaded where a file is looked at

    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        while len(head) < LONGEST_LINE and is_cut(head) and (more := stream.read(len(head))):
            head += more
    return head
