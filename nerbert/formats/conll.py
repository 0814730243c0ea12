"""CoNLL: one `token … tag` a line, a blank line between sentences, BIO tags in the last column.

Columns are cut at tabs if the line has one, else at spaces, so tokens keep no-break spaces. The text of an example is
its tokens joined by single spaces: CoNLL files don't say what stood between them, and that is the price.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish
from nerbert.errors import InputError, at
from nerbert.formats.rows import TEXT, TOKENS, Block, Line, Lines, LineWriter, Tagged, TextRow, read_lines
from nerbert.labels import example_tags, spans_from_bio, split_tag
from nerbert.records import Document, Example, Repairs, Span
from nerbert.terminal import visible

_FIRST_LINES = 200
_BREAKS, _COLUMN = re.compile(r"[\t\r\n]"), re.compile(r"[^\t\n]+")
DOCUMENT_START = "-DOCSTART-"
"""What a line begins with that begins a document, and holds no token."""
Sentences = Callable[[str], Iterable[tuple[int, Example]]]
"""Cuts a text into sentences of words, each with the place of its first character."""


def read_conll(path: Path) -> Iterator[Example]:
    """Yield the sentences of a CoNLL file; raise InputError that names file and line."""
    for sentence in read_tagged_lines(path):
        try:
            example = example_of([token for _, token, _ in sentence], [tag for _, _, tag in sentence])
        except InputError:
            for number, _, tag in sentence:
                with at(path, number):
                    split_tag(tag)
            raise
        yield example


def read_tagged_lines(path: Path) -> Iterator[list[tuple[int, str, str]]]:
    """Yield each sentence as (line, token, tag) with the tags as written; raise InputError for a broken line."""
    with path.open("rb") as stream:
        for sentence in _sentences(read_lines(stream, path), tagged=True):
            if sentence is not None:
                yield [(line.number, columns[0], columns[-1].strip()) for line, columns in sentence]


def conll_rows(lines: Lines, field: str) -> Iterator[TextRow | None]:
    """Yield a row a sentence: the first column is its words, all others are ignored; None as the lines have it."""
    for sentence in _sentences(lines, tagged=False):
        if sentence is None:
            yield None
            continue
        words = [columns[0] for _, columns in sentence]
        source = "\n".join(line.text for line, _ in sentence)
        yield row_of_words(sentence[0][0].number, words, {TOKENS: words}, source)


def _sentences(lines: Lines, *, tagged: bool) -> Iterator[list[tuple[Line, list[str]]] | None]:
    """Yield the lines and columns of each sentence; None where `lines` has it."""
    held: list[tuple[Line, list[str]]] = []
    for line in lines:
        if line is None:
            yield None
            continue
        with line.place():
            columns = _columns(line.text, tagged=tagged)
        if columns:
            held.append((line, columns))
        elif held:
            yield held
            held = []
    if held:
        yield held


def _ends_in_tag(line: str) -> bool:
    try:
        split_tag(_columns(line.rstrip("\r\n"), tagged=True)[-1].strip())
    except InputError:
        return False
    return True


def write_conll(path: Path, examples: Iterable[Example]) -> None:
    """Write sentences as `token<TAB>tag`, whole or not at all."""
    with publish(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(map(conll_block, examples))


def check_types(types: Iterable[str]) -> None:
    """Raise InputError for a type that splits CoNLL's columns."""
    if broken := next((each for each in types if each.split() != [each]), ""):
        raise InputError(f"type {broken!r} holds white space, which splits CoNLL's columns; choose jsonl")


def conll_block(example: Example) -> str:
    """Return one sentence as lines of `token<TAB>tag`, and the blank line after it; raise InputError if it can't be."""
    check_types(span.type for span in example.spans)
    if broken := next((word for word in example.tokens if _BREAKS.search(word)), ""):
        raise InputError(f"word {broken!r:.60} holds a tab or the end of a line, which CoNLL can't; choose jsonl")
    return "".join(f"{token}\t{tag}\n" for token, tag in zip(example.tokens, example_tags(example), strict=True)) + "\n"


class Conll:
    """The format `conll`."""

    suffixes = (".conll", ".bio", ".iob", ".iob2")

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the sentences of a file."""
        for each in read_conll(path):
            yield Document(each.text, each.spans, each.words)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents as sentences of words."""
        from nerbert.formats.documents import sentences_of

        write_conll(path, (each for document in documents for each in sentences_of(document)))

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether most of the first lines with words end in a BIO tag behind a token, as prose doesn't."""
        lines = head.decode("utf-8-sig", "replace").split("\n")[:_FIRST_LINES]
        kept = [line for line in lines if line.strip() and not line.startswith(DOCUMENT_START)]
        return sum(map(_ends_in_tag, kept)) > len(kept) / 2


def example_of(tokens: Iterable[str], tags: Iterable[str]) -> Example:
    """Return tokens and BIO tags as an Example; its text is the tokens joined by spaces."""
    tokens = list(tokens)
    words, place = [], 0
    for token in tokens:
        words.append((place, place + len(token)))
        place += len(token) + 1
    text = " ".join(tokens)
    spans = tuple(
        Span(words[first][0], words[last - 1][1], type_, text[words[first][0] : words[last - 1][1]])
        for first, last, type_ in spans_from_bio(list(tags))
    )
    return Example(text, tuple(words), spans)


def split_columns(line: str) -> list[str]:
    """Return the columns of a line, cut at tabs if it has one, else at spaces, however many."""
    return line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]


def row_of_words(number: int, words: Sequence[str], fields: Mapping[str, Any], source: str = "") -> TextRow:
    """Return the row of a sentence's words; the fields get its text if they have none."""
    example = example_of(words, ())
    return TextRow(number, example.text, example, {TEXT: example.text} | dict(fields), source)


def _columns(line: str, *, tagged: bool) -> list[str]:
    """Return the columns of a word's line; none for a line that ends a sentence.

    Raise InputError for a line without a token, or, if `tagged`, without a tag behind it.
    """
    if not line.strip(" \t") or line.startswith(DOCUMENT_START):
        return []
    columns = split_columns(line)
    if not columns[0] or (tagged and (len(columns) < 2 or not columns[-1].strip())):
        wanted = "a token, a tab (or space) and a tag" if tagged else "a token, and behind a tab or space anything"
        raise InputError(f"broken line {line!r:.60}: expected {wanted}")
    return columns


def conll_writer(sentences: Sentences, types: Iterable[str], *, terminal: bool = False) -> LineWriter:
    """Return what writes tagged rows as `word<TAB>tag`: a row's own words, or else its `sentences`.

    For a terminal, control characters are escaped. Raise InputError for types that CoNLL can't hold.
    """
    check_types(types)

    def lines(block: Block, found: Tagged) -> Iterator[bytes]:
        for row, spans in zip(block.rows, found, strict=True):
            with at(block.name, row.number):
                if row.example is not None:
                    examples: Iterable[Example] = [replace(row.example, spans=tuple(spans))]
                else:
                    examples = _annotated(sentences(row.text), spans)
                text = "".join(conll_block(each) for each in examples if each.words)
            yield (_COLUMN.sub(lambda part: visible(part[0]), text) if terminal else text).encode("utf-8", "replace")

    return lines


def _annotated(sentences: Iterable[tuple[int, Example]], spans: Sequence[Span]) -> Iterator[Example]:
    """Yield the sentences of a text, each with its entities: the words that end in one."""
    place = 0
    for offset, sentence in sentences:
        inside, ends = [], [offset + end for _, end in sentence.words]
        while place < len(spans):
            span = spans[place]
            first, last = bisect_right(ends, span.start), bisect_right(ends, span.end)
            if first == last:
                break
            inside.append(replace(span, start=sentence.words[first][0], end=sentence.words[last - 1][1]))
            place += 1
        yield replace(sentence, spans=tuple(inside))
    if place < len(spans):
        raise InputError(
            f"entity {spans[place].text!r:.60} lies in no sentence, so CoNLL can't hold it; choose --to jsonl"
        )
