"""JSON lines: one object per line, with a text (or a list of words), and any other fields.

This format is tried after all other JSON formats. Limitation: a field of another meaning may be read as spans.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, at, refused
from nerbert.formats import json_files
from nerbert.formats.conll import example_of
from nerbert.formats.documents import find_words
from nerbert.formats.exports import Token, token_words
from nerbert.formats.format import Abilities, TextWriter, WritingRows
from nerbert.formats.lines import SPANS, TEXT, TOKENS, Stream, checked_words
from nerbert.formats.schemes import find_scheme
from nerbert.labels import spans_from_bio
from nerbert.records import Document, Example, Repairs, Span, span_json
from nerbert.schema import check_value

_TEXTS = (TEXT, "sentence", "content", "document", "full_text", "input")
_WORDS = (TOKENS, "words")
ANNOTATIONS = (
    SPANS,
    "ner_tags",
    "tags",
    "bio_tags",
    "entities",
    "ents",
    "labels",
    "label",
    "ner",
    "annotations",
    "output",
)
"""Names of spans or tags; the first that isn't empty counts (or `spans`, even if empty); the others are fields."""
_PARAGRAPHS, _ENTS = "paragraphs", "ents"
"""Fields of spaCy 2's JSON, and of spaCy's `Doc.to_json`, which omits the entities of a text without any."""
_FIRST_ROWS = 100
_GROUP = "document_id"
_GROUPS = (_GROUP, "doc_id", "page_id")


def _kept_fields(document: Document) -> dict[str, Any]:
    """Return the fields that the reader doesn't read as text, words or spans, and a field for the document's group."""
    taken = (TEXT, SPANS, *(_WORDS if document.words is None else (TOKENS,)))
    fields = json_files.fields_but(document.fields, *taken)
    return {**fields, _GROUP: document.group} if document.group not in ("", group_of(fields)) else fields


def text_of(fields: Mapping[str, Any], field: str, line: int = 0, size: int = 0) -> Document:
    """Return the text (or words) in a `field` of an object, with all fields; a missing field `text` is added."""
    text, words = text_in(fields, field)
    return Document(text, (), words, "", fields if TEXT in fields else {TEXT: text, **fields}, line, size=size)


def text_in(fields: Mapping[str, Any], field: str) -> tuple[str, tuple[tuple[int, int], ...] | None]:
    """Return the text in a field and None, or the text of the words there and their spans; `tokens` replaces `text`."""
    if field not in fields and field == TEXT and TOKENS in fields:
        field = TOKENS
    if field not in fields:
        names = ", ".join(fields) or "none"
        raise InputError(
            f"no field {field!r} (there are: {names:.200}); name the text's with --field, or the format with --from"
        )
    value = fields[field]
    if isinstance(value, str):
        return value, None
    example = example_of(checked_words(value, field), ())
    return example.text, example.words


class JsonLines(json_files.JsonFormat):
    """The format `jsonl`: a text or tokens, with spans or tags, and any other fields."""

    by_name = (".jsonl", ".ndjson")
    for_programs = True
    streams = True
    holds = Abilities(nested=True, tagged=False, fields=_kept_fields)
    keys = "a text and spans, or tokens and tags"

    def read(self, source: Path | Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield the documents of a file, or for a stream the text in a field of each object."""
        if isinstance(source, Path):
            yield from super().read(source, repairs)
            return
        with source.open() as stream:
            for line, value, size in json_files.json_values(stream, source.name, source.errors):
                with at(source.name, line):
                    if not isinstance(value, dict):
                        raise InputError(f"not a JSON object: {value!r:.60}; write one object per line")
                    document = text_of(value, source.field, line, size)
                yield document

    def writer(self, writing: WritingRows) -> TextWriter:
        """Return a writer of texts as objects: all fields of the input, and `spans`."""
        return lambda row: json_files.object_line({**row.fields, SPANS: [span_json(span) for span in row.spans]})

    def matches(self, value: Any) -> bool:
        """Return whether an object has a text or tokens, and spans, or tags of tokens."""
        is_ours = isinstance(value, dict) and not json_files.is_json_min(value)
        return is_ours and (_annotation(value) != "" or isinstance(value.get(_PARAGRAPHS), list))

    def rows(self, path: Path, repairs: Repairs) -> Iterator[tuple[int, Any]]:
        """Yield each object of a file with its line; its tags are converted to IOB2."""
        return in_iob2(path, lambda: json_files.values_of_file(path), repairs)

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return an object's document; its words are the object's tokens, if any."""
        # spaCy 2 has paragraphs of sentences instead of one text
        if not (name := _annotation(value)):
            return list(chain.from_iterable(self.documents(row, repairs) for row in _spacy_sentences(value)))
        text_field = _text_field(value)
        words_field = _words_field(value)
        text = value.get(text_field, "")
        words = None
        if words_field:
            tokens = checked_words(value[words_field], words_field)
            joined = example_of(tokens, ())
            text, words = (text, tuple(find_words(text, tokens))) if text_field else (joined.text, joined.words)
        elif _has_places(value):
            words = token_words(text, check_value(value[TOKENS], list[Token]))
            words_field = TOKENS
        annotation = value.get(name) or []
        if words is not None and _are_tags(annotation):
            spans = _spans_of_tags(text, words, annotation, name, repairs)
        else:
            spans = tuple(json_files.json_spans(annotation, repairs, text))
            _check_offsets(spans, words, has_text=text_field != "")
        fields = json_files.fields_but(value, *filter(None, (name, text_field, words_field)))
        return [Document(text, spans, words, group_of(value), fields)]

    def value(self, document: Document) -> dict[str, Any]:
        """Return a document as an object: text, tokens and spans, then the other fields."""
        text = document.text
        fields = self.holds.fields(document)
        tokens = {} if document.words is None else {TOKENS: [text[start:end] for start, end in document.words]}
        return {TEXT: text, **tokens, SPANS: [span_json(span) for span in document.spans], **fields}


def in_iob2(path: Path, rows: Callable[[], Iterator[tuple[int, Any]]], repairs: Repairs) -> Iterator[tuple[int, Any]]:
    """Yield numbered rows with tags in IOB2, by the scheme of all rows; the first rows determine the field of tags."""
    name = next((field for _, row in islice(rows(), _FIRST_ROWS) if (field := _tags_field(row))), "")
    if not name:
        yield from rows()
        return
    tagged = ([(number, tag) for tag in row[name]] for number, row in rows() if _tags_field(row) == name)
    scheme = find_scheme(tagged, path)
    scheme.count_repairs(repairs)
    for number, row in rows():
        if _tags_field(row) == name:
            row[name] = scheme.bio(row[name])
        yield number, row


def _tags_field(row: Any) -> str:
    """Return the field of a row's tags, if they are strings; else ""."""
    name = _annotation(row) if isinstance(row, dict) else ""
    tags = row[name] if name and _words_field(row) else []
    return name if tags and all(isinstance(tag, str) for tag in tags) else ""


def group_of(fields: Mapping[str, Any]) -> str:
    """Return the value of the field that names a text's document; "" if there is none."""
    return next((f"{fields[name]}" for name in _GROUPS if isinstance(fields.get(name), str | int)), "")


def _check_offsets(spans: Sequence[Span], words: Sequence[tuple[int, int]] | None, *, has_text: bool) -> None:
    # Offsets within the number of words may count tokens, which gives wrong entities without an error
    if words is not None and (not has_text or all(span.end <= len(words) and not span.text for span in spans)):
        _check_whole_words(spans, words)


def _check_whole_words(spans: Sequence[Span], words: Sequence[tuple[int, int]]) -> None:
    """Raise InputError for a span that begins or ends inside a word."""
    starts, ends = ({word[side] for word in words} for side in (0, 1))
    if cut := next((span for span in spans if span.start not in starts or span.end not in ends), None):
        raise InputError(
            f"span {cut.start}–{cut.end} of type {cut.type!r:.60}: cuts a token; offsets must count the "
            "characters of the text (or of the tokens joined by spaces), and seem to count tokens"
        )


def _text_field(value: Mapping[str, Any]) -> str:
    """Return the field of the text; "" if there is none."""
    return next((name for name in _TEXTS if isinstance(value.get(name), str)), "")


def _words_field(value: Mapping[str, Any]) -> str:
    """Return the field of the tokens, if they are strings; else ""."""
    # Tokens as objects have offsets, and are read elsewhere
    lists = ((name, value[name]) for name in _WORDS if isinstance(value.get(name), list))
    return next((name for name, tokens in lists if not tokens or not isinstance(tokens[0], dict | list)), "")


def _annotation(value: Mapping[str, Any]) -> str:
    """Return the field of the spans or tags; "" if there are none, or no text."""
    words = _words_field(value) != ""
    if not words and not _text_field(value):
        return ""
    values = _annotations(value)
    names = [name for name, items in values.items() if json_files.seem_spans(items) or (words and _are_tags(items))]
    if named := next((name for name in names if value[name] or name == SPANS), ""):
        return named
    # Objects that don't seem to be spans are annotations in an unknown form, even beside an empty list of others.
    if any(map(_are_objects, values.values())):
        return ""
    return next(iter(names), _ENTS if _has_places(value) and _ENTS not in value else "")


def _annotations(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that may have the spans or tags."""
    values = {name: value[name] for name in ANNOTATIONS if name in value}
    if "content" in value and "annotation" in value:  # Dataturks
        values["annotation"] = value["annotation"] or []
    return values


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and value != [] and isinstance(value[0], dict)


def _has_places(value: Mapping[str, Any]) -> bool:
    """Return whether the tokens are objects with offsets, as in spaCy's `Doc.to_json`."""
    tokens = value.get(TOKENS)
    return isinstance(tokens, list) and any(isinstance(token, dict) and "start" in token for token in tokens[:1])


def _spacy_sentences(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sentences of a document in spaCy 2's JSON; an unknown tag becomes O."""
    with refused("paragraphs: must be spaCy's, with sentences of tokens", of=(LookupError, TypeError, AttributeError)):
        for sentence in (part for paragraph in value[_PARAGRAPHS] for part in paragraph["sentences"]):
            tags = [token.get("ner", "-") for token in sentence["tokens"]]
            words = [token["orth"] for token in sentence["tokens"]]
            group = {_GROUP: f"{value['id']}"} if "id" in value else {}
            yield {TOKENS: words, "ner": ["O" if tag == "-" else tag for tag in tags], **group}


def _are_tags(value: Any) -> bool:
    return isinstance(value, list) and value != [] and isinstance(value[0], str | int)


def _spans_of_tags(
    text: str, words: Sequence[tuple[int, int]], tags: Sequence[Any], name: str, repairs: Repairs
) -> tuple[Span, ...]:
    """Return the spans of tagged words."""
    numbers = [tag for tag in tags if isinstance(tag, int)]
    if numbers:
        raise InputError(
            f"field {name!r} has tags as numbers ({numbers[0]}), but the file lacks their names; write the names, or "
            "read the original data set with --from datasets"
        )
    if len(tags) != len(words):
        raise InputError(f"field {name!r} has {len(tags)} tags for {len(words)} tokens; each token must have one")
    scheme = find_scheme([[(1, tag) for tag in tags]])
    scheme.count_repairs(repairs)
    spans = spans_from_bio(scheme.bio(tags))
    bounds = [(words[first][0], words[last - 1][1], type_) for first, last, type_ in spans]
    return tuple(Span(start, end, type_, text[start:end]) for start, end, type_ in bounds)


def with_all_fields(document: Document, number: int) -> Document:
    """Return a document for tagging, with text, words and group as fields; without a line, it gets `number`."""
    fields = json_files.fields_but(JsonLines().value(document), SPANS)
    size = len(json_files.json_text(fields))
    return replace(document, spans=(), fields=fields, line=document.line or number, size=size)


def tagged_document(row: Document, field: str) -> Document:
    """Return a row that a model tagged as a document, without the `field` that holds the text (or words)."""
    values = [row.text] if row.words is None else [row.text, [*Example(row.text, row.words).tokens]]
    # Fields that only repeat the text or the words aren't kept
    texts = [name for name in (TEXT, TOKENS, field) if row.fields.get(name) in values]
    fields = json_files.fields_but(row.fields, SPANS, *texts)
    return replace(row, group=group_of(row.fields), fields=fields, tagged=True)
