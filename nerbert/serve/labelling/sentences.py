"""The sentences of files to be labelled: of any format that nerbert reads, cut as training cuts them."""

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nerbert.errors import InputError, at
from nerbert.formats.documents import Reading, document_of, sentences_of
from nerbert.formats.examples import read_documents, recognised
from nerbert.formats.inputs import find_sources
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Document, Example, Repairs
from nerbert.tagger.pending import whole

MOST = 200_000
"""Sentences of a project."""
LONGEST_NAME = 100
"""Characters of a type's name."""
LONGEST = 20_000
"""Characters of a sentence; longer ones are no sentences, and left out."""


def read_sentences(path: Path, reading: Reading) -> Iterator[Example]:
    """Yield the sentences of a file or folder, annotated or not; raise InputError that names the place of a fault."""
    for document in _documents(path, reading):
        with at(path, document.line or None):
            for each in sentences_of(document, reading):
                spans = (replace(span, type=type_name(span.type)) for span in each.spans if type_name(span.type))
                if each.words:
                    yield replace(whole(each), spans=tuple(spans))


def type_name(name: str) -> str:
    """Return the name of a type as it is kept; "" for what can't be one."""
    found = unicodedata.normalize("NFC", " ".join(name.split()))
    return found if len(found) <= LONGEST_NAME and found.isprintable() else ""


def _documents(path: Path, reading: Reading) -> Iterator[Document]:
    if reading.from_ or (path.exists() and recognised(path) is not None):
        yield from read_documents(path, reading, Repairs())
        return
    for source in find_sources([str(path)], "").sources:
        yield from source.documents("text", "replace")


def write_sentences(path: Path, sentences: list[Example]) -> None:
    """Write sentences with their words, whole or not at all."""
    JsonLines().write(path, map(document_of, sentences))


def kept_sentences(path: Path) -> list[Example]:
    """Return the sentences that `write_sentences` wrote."""
    found = list[Example]()
    for document in JsonLines().read(path, Repairs()) if path.exists() else ():
        if document.words is None:
            raise InputError(f"{path}: a sentence has no words; this file isn't nerbert's")
        found.append(Example(document.text, document.words, document.spans))
    return found
