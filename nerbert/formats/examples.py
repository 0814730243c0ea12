"""Annotated sentences, in any format: what a format is, which there are, and how a file or a folder of splits is read.

A format is one class and one line in `FORMATS`. A file is read in the format that the user names. Otherwise the first
format that recognises the beginning of the file is taken; formats with the file's suffix are asked first. The price: a
file without a known suffix is opened twice.

A data folder has a file for each split (`train.conll`, `dev.jsonl`, …). The test split is read only by callers that
request it, so no training code can see it by accident. A split that is not requested causes no failure.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, os_refused
from nerbert.labels import WordSpan, example_tags
from nerbert.records import Example, Span
from nerbert.registry import FORMATS
from nerbert.words import split_words

_HEAD = 1 << 20
"""Bytes of a file by which its format is recognised."""
_FOREIGN_BEGINS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "packed with gzip",
    b"BZh": "packed with bz2",
}
_KEY = re.compile(r'"(\w+)"\s*:')


class Format(Protocol):
    """An annotation format; a class that is made without arguments."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of its files end, in lower case (`.conll`); the first is that of files to be written."""

    def recognise(self, head: bytes) -> bool:
        """Return whether a file that begins with these bytes (all of a small file) is of this format."""

    def read(self, path: Path) -> Iterator[Example]:
        """Yield the sentences of a file; raise InputError that names the line, by `nerbert.errors.at`."""

    def write(self, path: Path, examples: Iterable[Example]) -> None:
        """Write sentences so that `read` yields them again."""


def read_examples(path: Path, format_: str = "") -> list[Example]:
    """Return the sentences of a file, in the format named or else recognised; raise InputError if there are none."""
    with os_refused(f"{path}: can't be read"):
        examples = list(find_format(path, format_).read(path))
    if not examples:
        raise InputError(f"{path}: holds no sentence")
    return examples


def example_of_spans(text: str, spans: Iterable[WordSpan], tokens: Sequence[str] | None = None) -> Example:
    """Return a text with entities (start, end, type) in characters as a sentence; raise InputError for wrong ones.

    Without `tokens` its words are those of the corpus's splitter, cut where an entity begins or ends.
    """
    known: list[Span] = []
    for start, end, type_ in sorted(spans):
        if not (0 <= start < end <= len(text) and type_):
            raise InputError(f"entity {start}–{end} of type {type_!r}: the text has {len(text)} characters")
        known.append(Span(start, end, type_, text[start:end]))
    words = tuple(cut_words(text, known) if tokens is None else _located(text, tokens))
    example = Example(text, words, tuple(known))
    example_tags(example)  # raises for entities that overlap or cut a word
    return example


def find_format(path: Path, format_: str = "") -> Format:
    """Return the format named, or else that of a file; raise InputError for a file of a format that isn't read."""
    if format_:
        return FORMATS.find(format_)()
    if found := recognised(path):
        return found
    if other := foreign(_head(path), path.name.lower()):
        known = ", ".join(f"{name} ({FORMATS.find(name)().suffixes[0]})" for name in FORMATS)
        raise InputError(f"{path}: seems to be {other}; formats read are {known}, and your own with --from module:name")
    return _by_suffix(path)[0]


def recognised(path: Path) -> Format | None:
    """Return the format of a file by its content; None if no format recognises it."""
    head = _head(path)
    return next((each for each in _by_suffix(path) if each.recognise(head)), None)


def foreign(head: bytes, name: str) -> str:
    """Return what a file with this beginning seems to be that no format reads, such as `CSV`; "" for no guess.

    JSON in a file named as JSON lines is left to their reader, which names the line and the fault.
    """
    if found := next((tool for magic, tool in _FOREIGN_BEGINS.items() if head.startswith(magic)), ""):
        return found
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith(("{", "[")) and (keys := sorted(set(_KEY.findall(text)))):
        return "" if name.endswith((".jsonl", ".ndjson")) else f"JSON with {', '.join(keys):.60}"
    if text.startswith("<"):
        return "XML or HTML"
    lines = [line for line in text.splitlines()[:20] if line]
    counts = [{line.count(separator) for line in lines} for separator in ",;"]
    return "CSV" if len(lines) > 1 and any(len(each) == 1 and each != {0} for each in counts) else ""


def _by_suffix(path: Path) -> list[Format]:
    """Return all formats, those of the file's suffix first."""
    known = [FORMATS.find(name)() for name in FORMATS]
    return sorted(known, key=lambda each: not path.name.lower().endswith(each.suffixes))


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)


def cut_words(text: str, spans: Iterable[Span]) -> Iterator[tuple[int, int]]:
    """Yield the words of a text; none reaches over the beginning or the end of an entity."""
    for start, end in pairwise(sorted({0, len(text), *(place for span in spans for place in (span.start, span.end))})):
        yield from ((start + first, start + last) for first, last in split_words(text[start:end]))


def _located(text: str, tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where each token is in the text; raise InputError for one that isn't there."""
    place = 0
    for number, token in enumerate(tokens):
        start = text.find(token, place)
        if start < 0:
            raise InputError(f"token {number} (from 0), {token!r:.60}, isn't in the text after the one before")
        place = start + len(token)
        yield start, place


SPLITS = ("train", "dev", "test")
"""The splits of a data set, each the name of a file."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Annotated sentences by split, with the SHA-256 of each file read.

    A split that does not exist or was not requested is empty.
    """

    folder: Path
    train: list[Example]
    dev: list[Example]
    sha256: dict[str, str]
    test: list[Example]


def read_data(folder: Path, splits: Collection[str] = ("train", "dev"), format_: str = "") -> DataSet:
    """Read splits of a data folder (or one file, as train), and no other file.

    Raise InputError with the fault; of the requested splits only train must exist.
    """
    there = find_splits(folder, format_, splits)
    if "train" in splits and "train" not in there:
        raise InputError(f"{folder}: {missing('train', format_)}; give a folder with it (and with dev and test)")
    found = {split: read_examples(path, format_) for split, path in there.items()}
    sums = {path.name: sha256_of(path) for path in there.values()}
    return DataSet(folder, found.get("train", []), found.get("dev", []), sums, found.get("test", []))


def find_splits(folder: Path, format_: str = "", splits: Collection[str] = SPLITS) -> dict[str, Path]:
    """Return the files of a folder's splits: named train, dev or test, with a suffix of the format, or of any.

    A file in place of a folder is train. Raise InputError for two files of one of these splits.
    """
    if folder.is_file():
        return {"train": folder} if "train" in splits else {}
    found: dict[str, Path] = {}
    for split, path in split_files(folder, format_):
        if split in splits and (other := found.setdefault(split, path)) != path:
            raise InputError(f"{folder}: holds {other.name} and {path.name}; move one away, or choose with --from")
    return {split: found[split] for split in SPLITS if split in found}


def split_files(folder: Path, format_: str = "") -> Iterator[tuple[str, Path]]:
    """Yield each file of a folder that is a split by its name, with the split, in the order of names."""
    suffixes = {each for one in _formats(format_) for each in one.suffixes}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        split = split_of(path.name)
        if split in SPLITS and path.name.removeprefix(split).lower() in suffixes and path.is_file():
            yield split, path


def split_file(data: Path, split: str, format_: str = "") -> Path:
    """Return the file of a folder's split, or the file that was named itself; raise InputError if there is none."""
    found = data if data.is_file() else find_splits(data, format_, [split]).get(split)
    if found is None:
        fault = missing(split, format_) if data.is_dir() else "no such file or folder"
        raise InputError(f"{data}: {fault}; name a file of annotated sentences, or a folder with a {split} split")
    return found


def missing(split: str, format_: str = "") -> str:
    """Return that a folder lacks the file of a split, and how such a file may be named."""
    return f"holds no {' or '.join(split + each.suffixes[0] for each in _formats(format_))}"


def _formats(format_: str) -> list[Format]:
    """Return the format named, or all."""
    return [FORMATS.find(name)() for name in ([format_] if format_ else FORMATS)]


def split_of(name: str) -> str:
    """Return which split a file's name says: `train` of `train.conll`."""
    return name.partition(".")[0]


def split_sum(sums: Mapping[str, Any], split: str) -> str:
    """Return the SHA-256 of a split's file, of several by name; "" if it isn't there."""
    found = next((each for name, each in sums.items() if split_of(name) == split), "")
    return found if isinstance(found, str) else ""


def train_sum(data: object) -> str:
    """Return the SHA-256 of the training file (train, or the only one) from a card's `data`; "" if it isn't there."""
    sums = data.get("sha256") if isinstance(data, dict) else None
    sums = sums if isinstance(sums, dict) else {}
    return split_sum(sums, "train") or (split_sum(sums, split_of(*sums)) if len(sums) == 1 else "")
