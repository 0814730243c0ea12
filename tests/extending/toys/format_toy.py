"""A format of one's own: a sentence a line, entities as `[Ada Lovelace](person)`, words by spaces."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.errors import InputError, at
from nerbert.formats.documents import document_of, example_of_spans
from nerbert.formats.format import LEAST
from nerbert.records import Document, Repairs

ENTITY = re.compile(r"\[(.+?)\]\((\w+)\)")


class Toy:
    """The format."""

    suffixes = (".toy",)
    holds = LEAST

    def recognise(self, path: Path, head: bytes) -> bool:
        return bool(ENTITY.search(head.decode("utf-8", "replace")))

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            with at(path, number):
                document = parse(line)
            yield document

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        path.write_text("".join(f"{marked(each)}\n" for each in documents), encoding="utf-8")


def parse(line: str) -> Document:
    text, spans, place = "", [], 0
    for found in ENTITY.finditer(line):
        text += line[place : found.start()]
        spans.append((len(text), len(text) + len(found[1]), found[2]))
        text, place = text + found[1], found.end()
    text += line[place:]
    if "](" in text:
        raise InputError(f"{text!r:.60}: an entity has no type")
    return document_of(example_of_spans(text, spans, text.split()))


def marked(example: Document) -> str:
    line, place = "", 0
    for span in example.spans:
        line += f"{example.text[place : span.start]}[{span.text}]({span.type})"
        place = span.end
    return line + example.text[place:]
