"""CoNLL: one `token … tag` a line, a blank line between sentences, BIO tags in the last column.

Columns are cut at tabs if the line has one, else at spaces, so tokens keep no-break spaces. The text of an example is
its tokens joined by single spaces: CoNLL files don't say what stood between them, and that is the price.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.artifacts import publish
from nerbert.errors import InputError, at
from nerbert.formats.lines import decoded
from nerbert.labels import example_tags, spans_from_bio, split_tag
from nerbert.records import Example, Span

_FIRST_LINES = 200
_BREAKS = re.compile(r"[\t\r\n]")
DOCUMENT_START = "-DOCSTART-"
"""What a line begins with that begins a document, and holds no token."""


def read_conll(path: Path) -> Iterator[Example]:
    """Yield the sentences of a CoNLL file; raise InputError that names file and line."""
    for sentence in read_tagged_lines(path):
        for number, _, tag in sentence:
            with at(path, number):
                split_tag(tag)
        yield example_of([token for _, token, _ in sentence], [tag for _, _, tag in sentence])


def read_tagged_lines(path: Path) -> Iterator[list[tuple[int, str, str]]]:
    """Yield each sentence as (line, token, tag) with the tags as written; raise InputError for a broken line."""
    sentence: list[tuple[int, str, str]] = []
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            with at(path, number):
                columns = columns_of(decoded(raw.rstrip(b"\r\n"), number))
            if columns:
                sentence.append((number, columns[0], columns[-1].strip()))
            elif sentence:
                yield sentence
                sentence = []
    if sentence:
        yield sentence


def looks_like_conll(lines: Iterable[str]) -> bool:
    """Return whether lines are CoNLL, not prose: most of those with words end in a BIO tag behind a token."""
    kept = [line for line in lines if line.strip() and not line.startswith(DOCUMENT_START)]
    return sum(map(_ends_in_tag, kept)) > len(kept) / 2


def _ends_in_tag(line: str) -> bool:
    try:
        columns = columns_of(line.rstrip("\r\n"))
        split_tag(columns[-1].strip())
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
    read = staticmethod(read_conll)
    write = staticmethod(write_conll)

    def recognise(self, head: bytes) -> bool:
        """Return whether most of the first lines end in a BIO tag."""
        return looks_like_conll(head.decode("utf-8-sig", "replace").split("\n")[:_FIRST_LINES])


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


def columns_of(line: str, *, tagged: bool = True) -> list[str]:
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
