"""The tags of a CoNLL file as they are written, before anything is read into them.

The choice: a file is read once more, line by line, since entities don't tell how they were written: an `I-x` that
continues nothing begins one by the CoNLL script's rules. `data check` does so before it reads them, so that tags of a
scheme that isn't read are told with all that the file has; what is broken otherwise is left to `read_conll`. IOB2
begins every entity with B-; IOB1 only one that touches another of its type; IO none. A file that does now this, now
that, is called mixed. The price: each file is read twice.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nerbert.errors import InputError
from nerbert.formats.conll import DOCUMENT_START, split_columns

_READ = ("O", "B", "I")


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a file's entities are written. `broken`: I- tags that continue nothing; `first_broken`: line of the first."""

    name: str
    broken: int
    first_broken: int


def read_scheme(path: Path) -> Scheme:
    """Look at all tags of a file; raise InputError for those of a scheme that isn't read (BIOES, BILOU, …)."""
    prefixes: Counter[str] = Counter()
    broken, own_begin = [], 0
    for sentence in _sentences(path):
        before = ("O", "")
        for line, tag in sentence:
            prefix, _, type_ = tag.partition("-")
            if prefix not in _READ:
                raise InputError(f"{path}:{line}: tag {tag!r:.80}: {_foreign(path)}")
            prefixes[prefix] += 1
            continues = before[0] != "O" and before[1] == type_
            if prefix == "I" and not continues:
                broken.append(line)
            own_begin += prefix == "B" and not continues
            before = (prefix, type_)
    return Scheme(_name(prefixes, len(broken), own_begin), len(broken), broken[0] if broken else 0)


def _name(prefixes: Counter[str], broken: int, own_begin: int) -> str:
    """Return what the scheme is called; `own_begin` counts B- tags that IOB1 wouldn't write."""
    if not prefixes["B"] + prefixes["I"]:
        return "no entity"
    if not broken:
        return "IOB2"
    if not prefixes["B"]:
        return "IO or IOB1"
    return "mixed" if own_begin else "IOB1"


def _foreign(path: Path) -> str:
    """Return what the tags of a file that can't be read begin with."""
    prefixes = Counter(tag.partition("-")[0] for sentence in _sentences(path) for _, tag in sentence)
    told = ", ".join(f"{prefix:.20} {count}" for prefix, count in prefixes.most_common(8))
    return f"must be O, B-TYPE or I-TYPE, but the file's tags begin with {told}; convert it to BIO"


def _sentences(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Line and tag of each token, a list a sentence; a line without a tag is left out."""
    sentence: list[tuple[int, str]] = []
    for number, line in enumerate(_lines(path), 1):
        text = line.rstrip("\r\n")
        if text.strip(" \t") and not text.startswith(DOCUMENT_START):
            columns = split_columns(text)
            if len(columns) > 1 and (tag := columns[-1].strip()):
                sentence.append((number, tag))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as stream:
            yield from stream
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
