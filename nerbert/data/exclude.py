"""Texts to exclude from training data, by shared word n-grams: annotated data, JSON lines or plain text.

A text shorter than an n-gram is compared as a whole; the shortest texts are not compared, only counted. Inputs that
would exclude nothing are errors: a file without n-grams, a folder without texts, a file in it without a text suffix.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerbert.data.splits import data_sum
from nerbert.errors import InputError
from nerbert.formats.format import FORMATS, check_needs, foreign, head_of, recognise_format
from nerbert.formats.json_files import json_value
from nerbert.formats.jsonl import text_of
from nerbert.formats.lines import file_lines
from nerbert.records import Repairs
from nerbert.sources.files import BOM, find_all, find_files, writable

_TEXTS = (".txt", ".tsv")
_ABOUT = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|attribution)|.*\.md$|(?:manifest|dataset_dict)\.json$", re.IGNORECASE
)
"""Names of files that aren't texts; the last two occur in nerbert's data folders and in those of `datasets`."""
_KEYS = ("text", "sentence", "tokens", "words", "tokenized_text")
"""Fields of a JSON line for its text, or its list of words; the first that exists is used."""
_MIN_WORDS = 4
"""Minimum length of a text that is compared as a whole. Shorter equal texts ("CENTRAL DIVISION", "Scorers :", "0-1 .")
aren't a sign of a leak, since any text may contain them. Unit: normalised words. Source: ours."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Excluded:
    """N-grams that exclude a sentence, and facts about their files, for the manifest."""

    ngrams: frozenset[str] = frozenset()
    files: tuple[dict[str, Any], ...] = ()
    judged: Counter[str] = field(default_factory=Counter)
    """Number of sentences in all files that are compared `by_ngram`, `by_equality`, or are `not_judged`."""


def read_excluded(paths: Sequence[Path], length: int) -> Excluded:
    """Return the n-grams of the sentences in these files and folders."""
    grams: set[str] = set()
    files: list[dict[str, Any]] = []
    total = Counter[str]()
    for path, name in _files(paths):
        texts = list(filter(str.strip, _texts(path)))
        runs = {gram for text in texts for gram in ngrams(text, length)}
        # A file that excludes nothing is a mistake that nobody would notice
        if not runs:
            raise InputError(
                f"{path}: no sentence of {min(length, _MIN_WORDS)} or more words to exclude; give CoNLL, JSON lines, "
                "or one sentence per line"
            )
        judged = Counter(by_ngram=0, by_equality=0, not_judged=0)
        sizes = (len(normalised_words(text)) for text in texts)
        judged.update(
            "by_ngram" if size >= length else "by_equality" if size >= _MIN_WORDS else "not_judged" for size in sizes
        )
        share = round(judged["not_judged"] / len(texts), 4)
        files.append({"file": name, "sha256": data_sum(path), "ngrams": len(runs), **judged, "not_judged_share": share})
        grams |= runs
        total.update(judged)
    return Excluded(frozenset(grams), tuple(files), total)


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file with a unique name."""
    named = {file.path: file.name for file in find_all(paths)}
    texts = (*_TEXTS, *(suffix for name in FORMATS for suffix in FORMATS.find(name)().suffixes))
    for path in paths:
        folders = list(_whole_folders(path))
        for folder in folders:
            yield folder, writable((Path(path.name) / folder.relative_to(path)).as_posix())
        count = len(folders)
        for file in find_files(path):
            # Files about the data, or files of a folder that was read as a whole
            if not file.direct and (
                _ABOUT.match(file.path.name) or any(parent in folders for parent in file.path.parents)
            ):
                continue
            # An unknown file in a folder may hold texts: skipping it would let them into training
            if not file.direct and not file.path.name.lower().endswith(texts):
                raise InputError(f"{file.path}: not a text by its name; name the files to exclude one by one")
            count += 1
            yield file.path, named[file.path]
        if not count:
            raise InputError(
                f"{path}: holds no text to exclude; give CoNLL, JSON lines, or text with one sentence per line"
            )


def _whole_folders(path: Path) -> Iterator[Path]:
    """Yield the path and the folders below it that are in a format of folders; splits may be such folders."""
    if path.is_dir() and recognise_format(path):
        yield path
    elif path.is_dir():
        below = sorted(child for child in path.iterdir() if not child.name.startswith(".") and not child.is_symlink())
        for child in below:
            yield from _whole_folders(child)


def _texts(path: Path) -> Iterator[str]:
    """Yield annotated sentences, the texts of JSON lines, or the lines of a text."""
    if (name := recognise_format(path)) not in ("", "jsonl"):  # from JSON lines, only the text is needed
        yield from (document.text for document in check_needs(FORMATS.find(name)()).read(path, Repairs()))
        return
    head = head_of(path).removeprefix(BOM).lstrip()
    guess = foreign(head, ".json")
    # A text may begin with `<`, so the guess HTML doesn't count
    if guess and not head.startswith(b"<"):
        raise InputError(f"{path}: seems to be {guess}")
    for line in file_lines(path):
        with line.locate_errors():
            # Only a file that begins as JSON lines is read as such; any other line is a text
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
    """Return the words of a text for comparison: lower-case `\\w+`."""
    return _WORD.findall(text.lower())


def ngrams(text: str, length: int) -> set[str]:
    """Return all n-grams of `length` normalised words of a text; a shorter text is one n-gram if it isn't too short.
    Two texts share an n-gram of fewer than `length` words only if they are equal: longer texts have only longer ones.
    """
    words = normalised_words(text)
    # A shorter text is one n-gram; below the minimum, the range is empty
    size = length if len(words) >= length else max(len(words), _MIN_WORDS)
    return {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}
