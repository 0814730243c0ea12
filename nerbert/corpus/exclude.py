"""Texts that the corpus must not share runs of words with: test sets, in CoNLL or plain text."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nerbert.corpus.filters import ngrams
from nerbert.errors import InputError
from nerbert.formats.conll import read_conll


def forbidden_ngrams(paths: Sequence[Path], length: int) -> frozenset[str]:
    """All runs of `length` words of the sentences in these files; a folder stands for the files in it."""
    return frozenset(gram for path in _files(paths) for text in _texts(path) for gram in ngrams(text, length))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file to exclude")
        yield from sorted(p for p in path.rglob("*") if p.suffix in (".conll", ".txt")) if path.is_dir() else [path]


def _texts(path: Path) -> Iterator[str]:
    """Sentences of a CoNLL file, or the lines of a text."""
    if path.suffix in (".conll", ".bio", ".iob2"):
        yield from (example.text for example in read_conll(path))
        return
    try:
        yield from path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read as text: {error}") from error
