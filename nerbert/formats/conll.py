"""CoNLL: one `token … tag` per line, a blank line between sentences, BIO tags in the last column.

Columns are separated by tabs if the line has one, else by spaces, so tokens keep no-break spaces. The text of an
example is its tokens joined by single spaces, because CoNLL files do not store the original white space.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.artifacts import publish
from nerbert.errors import InputError, at
from nerbert.labels import example_tags, spans_from_bio, split_tag
from nerbert.records import Example, Span

DOCUMENT_START = "-DOCSTART-"
"""Starts a line that begins a document and contains no token."""


def read_conll(path: Path) -> Iterator[Example]:
    """Yield the sentences of a CoNLL file; raise InputError that names file and line."""
    tokens: list[str] = []
    tags: list[str] = []
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                with at(path, number):
                    line = _decode(raw, first=number == 1)
                    if line.strip(" \t") and not line.startswith(DOCUMENT_START):
                        token, tag = _columns(line)
                        tokens.append(token)
                        tags.append(tag)
                    elif tokens:
                        yield example_of(tokens, tags)
                        tokens, tags = [], []
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if tokens:
        yield example_of(tokens, tags)


def read_conll_file(path: Path) -> list[Example]:
    """Return all sentences of a CoNLL file; raise InputError for an empty file."""
    examples = list(read_conll(path))
    if not examples:
        raise InputError(f"{path}: holds no sentence; expected lines of `token<TAB>tag`")
    return examples


def looks_like_conll(lines: Iterable[str]) -> bool:
    """Return whether lines are CoNLL, not prose: most nonblank lines end in a BIO tag after a token."""
    kept = [line for line in lines if line.strip() and not line.startswith(DOCUMENT_START)]
    return sum(map(_ends_in_tag, kept)) > len(kept) / 2


def _ends_in_tag(line: str) -> bool:
    try:
        _columns(line.rstrip("\r\n"))
    except InputError:
        return False
    return True


def write_conll(path: Path, examples: Iterable[Example]) -> None:
    """Write sentences as `token<TAB>tag`, whole or not at all."""
    with publish(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(map(conll_block, examples))


def conll_block(example: Example) -> str:
    """Return one sentence as lines of `token<TAB>tag`, and the blank line after it."""
    return "".join(f"{token}\t{tag}\n" for token, tag in zip(example.tokens, example_tags(example), strict=True)) + "\n"


def example_of(tokens: Iterable[str], tags: Iterable[str]) -> Example:
    """Return an Example of tokens and BIO tags; its text is the tokens joined by spaces."""
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


def _decode(raw: bytes, *, first: bool) -> str:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start} of the line; convert the file to UTF-8") from None
    return (line.removeprefix("\ufeff") if first else line).rstrip("\r\n")


def split_columns(line: str) -> list[str]:
    """Split a line at tabs if it has one, else at runs of spaces."""
    return line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]


def _columns(line: str) -> tuple[str, str]:
    """Return token and tag of a line."""
    columns = split_columns(line)
    if len(columns) < 2 or not columns[0] or not columns[-1].strip():
        raise InputError(f"broken line {line!r}: expected a token, a tab (or space) and a tag")
    tag = columns[-1].strip()
    split_tag(tag)
    return columns[0], tag
