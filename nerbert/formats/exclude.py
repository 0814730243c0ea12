"""Texts to exclude from training data, by shared runs of words: annotated data, JSON lines or plain text, by content.

A text too short for a run is compared as a whole; the shortest are not compared, and are counted. What would exclude
nothing is an error: a file without a run of words, a folder without a text, a file there whose name says no text.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerbert.errors import InputError
from nerbert.formats.data import data_sum
from nerbert.formats.format import FORMATS, foreign, head_of, recognised, usable
from nerbert.formats.json_files import json_value
from nerbert.formats.jsonl import JsonLines, text_of
from nerbert.formats.rows import file_lines
from nerbert.records import Repairs
from nerbert.sources.files import BOM, find_all, find_files, writable

_TEXTS = (".txt", ".tsv")
_ABOUT = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|attribution)|.*\.md$|(?:manifest|dataset_dict)\.json$", re.IGNORECASE
)
"""Names of files beside the texts: the last two are of nerbert's own data folders and of `datasets`."""
_KEYS = ("text", "sentence", "tokens", "words", "tokenized_text")
"""Fields of a JSON line for its text, or its list of words; the first that exists counts."""
_MIN_WORDS = 4
"""Minimum words of a text that is compared as a whole. Equality of shorter ones ("CENTRAL DIVISION", "Scorers :", "0-1
.") is no sign of a leak, since any text may contain them. Unit: normalised words. Source: ours."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Excluded:
    """Runs of words that no sentence may share, and their files, for the manifest."""

    ngrams: frozenset[str] = frozenset()
    files: tuple[dict[str, Any], ...] = ()
    judged: Counter[str] = field(default_factory=Counter)
    """How many sentences of all files are compared `by_ngram`, `by_equality`, or are `not_judged`."""


def read_excluded(paths: Sequence[Path], length: int) -> Excluded:
    """Return the n-grams of the sentences of these files, or of the files of a folder."""
    found: set[str] = set()
    files: list[dict[str, Any]] = []
    total = Counter[str]()
    for path, name in _files(paths):
        texts = [text for text in _texts(path) if text.strip()]
        some = {gram for text in texts for gram in ngrams(text, length)}
        if not some:
            raise InputError(
                f"{path}: no sentence of {min(length, _MIN_WORDS)} or more words to exclude; give CoNLL, JSON lines, "
                "or one sentence per line"
            )
        judged = Counter(by_ngram=0, by_equality=0, not_judged=0)
        sizes = (len(normalised_words(text)) for text in texts)
        judged.update("by_ngram" if size >= length else "by_equality" if size >= _MIN_WORDS else "not_judged"
                      for size in sizes)  # fmt: skip
        share = round(judged["not_judged"] / len(texts), 4)
        files.append({"file": name, "sha256": data_sum(path), "ngrams": len(some), **judged, "not_judged_share": share})
        found |= some
        total.update(judged)
    return Excluded(frozenset(found), tuple(files), total)


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file with a unique name."""
    named = {found.path: found.name for found in find_all(paths)}
    texts = (*_TEXTS, *(suffix for name in FORMATS for suffix in FORMATS.find(name)().suffixes))
    for path in paths:
        whole = list(_whole_folders(path))
        for folder in whole:
            yield folder, writable((Path(path.name) / folder.relative_to(path)).as_posix())
        some = len(whole)
        for found in find_files(path):
            if not found.direct and (
                _ABOUT.match(found.path.name) or any(each in whole for each in found.path.parents)
            ):
                continue
            if not found.direct and not found.path.name.lower().endswith(texts):
                raise InputError(f"{found.path}: not a text by its name; name the files to exclude one by one")
            some += 1
            yield found.path, named[found.path]
        if not some:
            raise InputError(
                f"{path}: holds no text to exclude; give CoNLL, JSON lines, or text with one sentence per line"
            )


def _whole_folders(path: Path) -> Iterator[Path]:
    """Yield the folders at and below a path that are each in a format of folders, as their splits may be."""
    if path.is_dir() and recognised(path):
        yield path
    elif path.is_dir():
        below = sorted(each for each in path.iterdir() if not each.name.startswith(".") and not each.is_symlink())
        for each in below:
            yield from _whole_folders(each)


def _texts(path: Path) -> Iterator[str]:
    """Yield annotated sentences, the texts of JSON lines, or the lines of a text."""
    if (found := recognised(path)) and not isinstance(found, JsonLines):  # of JSON the text is enough
        yield from (document.text for document in usable(found).read(path, Repairs()))
        return
    head = head_of(path).removeprefix(BOM).lstrip()
    what = foreign(head, ".json")
    if what and not head.startswith(b"<"):
        raise InputError(f"{path}: seems to be {what}")
    for line in file_lines(path):
        with line.place():
            text = _json_text(line.text) if head.startswith(b"{") and line.text.strip() else line.text
        yield text


def _json_text(line: str) -> str:
    fields = json_value(line)
    if not isinstance(fields, dict):
        raise InputError(f"not a JSON object: {line!r:.60}; write one object per line")
    key = next((key for key in _KEYS if key in fields), None)
    if key is None:
        raise InputError(f"{line[:60]!r}: has no text; it needs one of {', '.join(_KEYS)}")
    return text_of(fields, key).text


def normalised_words(text: str) -> list[str]:
    """Return the words of a text for comparisons: lower-case `\\w+`."""
    return _WORD.findall(text.lower())


def ngrams(text: str, length: int) -> set[str]:
    """Return all runs of `length` normalised words of a text; of a shorter one all its words as one run, if not too
    few. Two texts share a run of fewer than `length` words only if they are equal: longer texts have no run as short.
    """
    words = normalised_words(text)
    size = length if len(words) >= length else max(len(words), _MIN_WORDS)
    return {" ".join(words[place : place + size]) for place in range(len(words) - size + 1)}
