"""Rows from annotated documents, and documents from tagged rows: how any format is tagged, and tagged text written."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from nerbert.formats.json_files import fields_but, json_text
from nerbert.formats.jsonl import JsonLines, group_of, row_fields
from nerbert.formats.rows import SPANS, TEXT, TOKENS, TaggedFile, TextRow
from nerbert.records import Document, Example


def document_rows(documents: Iterable[Document]) -> Iterator[TextRow]:
    """Yield a row a document; documents that have words are sentences, and keep them."""
    for number, each in enumerate(documents, 1):
        fields = fields_but(JsonLines().value(replace(each, spans=())), SPANS)
        example = None if each.words is None else Example(each.text, each.words)
        yield TextRow(each.line or number, each.text, example, fields, json_text(fields))


def tagged_documents(tagged: TaggedFile, field: str) -> Iterator[Document]:
    """Yield tagged rows as documents that a model tagged; `field` has the text (or words), which is no field then."""
    for block, found in tagged:
        for row, fields, spans in zip(block.rows, row_fields(block), found, strict=True):
            words = None if row.example is None else row.example.words
            own = [row.text] if row.example is None else [row.text, [*row.example.tokens]]
            texts = [name for name in (TEXT, TOKENS, field) if fields.get(name) in own]
            rest = fields_but(fields, SPANS, *texts)
            yield Document(row.text, tuple(spans), words, group_of(fields), rest, row.number, tagged=True)
