"""Texts that the corpus must not share runs of words with: test sets, in CoNLL or plain text, told by content.

A file that yields no run of words at all is an error: to exclude nothing in silence would be the worst outcome.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nerbert.corpus.filters import ngrams
from nerbert.corpus.knowledge.sources import find_files
from nerbert.errors import InputError
from nerbert.files import sha256_of
from nerbert.formats.conll import looks_like_conll, read_conll

_FIRST_LINES = 200
_TEXTS = frozenset({".conll", ".txt", ".bio", ".iob2"})


@dataclass(frozen=True, slots=True)
class Excluded:
    """Runs of words that no sentence may hold, and the files that they come from, fit for the manifest."""

    ngrams: frozenset[str] = frozenset()
    files: tuple[dict[str, str | int], ...] = ()


def read_excluded(paths: Sequence[Path], length: int) -> Excluded:
    """All runs of `length` words of the sentences in these files; a folder stands for the files in it."""
    found: set[str] = set()
    files: list[dict[str, str | int]] = []
    for path, name in _files(paths):
        some = {gram for text in _texts(path) for gram in ngrams(text, length)}
        if not some:
            raise InputError(
                f"{path}: no sentence of {length} words to exclude; give CoNLL, or text with a sentence a line"
            )
        files.append({"file": name, "sha256": sha256_of(path), "ngrams": len(some)})
        found |= some
    return Excluded(frozenset(found), tuple(files))


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Each file with its name from the last part of the path that was given on; in folders, texts and CoNLL only."""
    for path in paths:
        for found in find_files(path):
            if found.direct:
                yield found.path, found.name
            elif found.path.suffix in _TEXTS:
                yield found.path, f"{path.resolve().name}/{found.name}"


def _texts(path: Path) -> Iterator[str]:
    """Sentences of a CoNLL file, or the lines of a text."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            conll = looks_like_conll(islice(stream, _FIRST_LINES))
            stream.seek(0)
            if not conll:
                yield from stream
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read as text in UTF-8: {error}") from error
    if conll:
        yield from (example.text for example in read_conll(path))
