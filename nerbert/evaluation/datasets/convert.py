"""Files as their publishers wrote them → sentences of `(token, tag)`, tags in IOB2: small functions on lines.

The choice: a file is described by how its lines are read (`reader`), how its tags are meant (`scheme`), and
what lines begin with that aren't data (`drop`); tokens lose their white space, and one that is nothing else becomes
`_EMPTY_`, so that no line is lost. Tags that are IOB2 already stay as they are, with their faults. The price: what fits
none of these isn't converted here.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nerbert.errors import InputError
from nerbert.formats.conll import split_columns
from nerbert.labels import OUTSIDE, bio_from_spans, spans_from_bio, split_tag

EMPTY = "_EMPTY_"
"""Stands for a token that is white space and nothing else."""

Sentence = list[tuple[str, str]]
Reader = Callable[[Iterable[str]], Iterator[Sentence]]

_LONGEST_LINE = 1 << 16


def read_raw(path: Path, reader: str, scheme: str, drop: Sequence[str] = ()) -> list[Sentence]:
    """All sentences of a file; raise InputError that names file and line."""
    lines, sentences = _Lines(path, tuple(drop)), []
    try:
        for sentence in READERS[reader](lines):
            tags = SCHEMES[scheme]([tag for _, tag in sentence])
            sentences.append([(_token(token), tag) for (token, _), tag in zip(sentence, tags, strict=True)])
    except InputError as error:
        raise InputError(f"{path}:{lines.number}: {error}") from error
    if not sentences:
        raise InputError(f"{path}: holds no sentence; this is another file than the one that was known")
    return sentences


def cut_sentences(sentences: Sequence[Sentence], sizes: Mapping[str, int], rest: str) -> dict[str, list[Sentence]]:
    """Draw splits of so many sentences at random, one after the other; what is left is `rest`; all keep their order.

    The shuffle is Python's own with seed 0 (`random.Random(0).shuffle`), since that is how the known cuts were made.
    """
    places = list(range(len(sentences)))
    if sum(sizes.values()) >= len(places):
        raise InputError(f"{len(places)} sentences, too few to draw {sum(sizes.values())} of them and leave some")
    random.Random(0).shuffle(places)  # noqa: S311
    found, start = {}, 0
    for split, size in sizes.items():
        found[split] = [sentences[place] for place in sorted(places[start : start + size])]
        start += size
    return found | {rest: [sentences[place] for place in sorted(places[start:])]}


def conll_text(sentences: Iterable[Sentence]) -> str:
    """Sentences in nerbert's form: `token<TAB>tag`, a blank line after each."""
    return "".join("".join(f"{token}\t{tag}\n" for token, tag in each) + "\n" for each in sentences)


def read_columns(lines: Iterable[str]) -> Iterator[Sentence]:
    """Token first and tag last on a line, cut at tabs, or at spaces where it has none; blank lines end sentences."""
    sentence: Sentence = []
    for line in lines:
        if line.strip():
            cells = split_columns(line)
            if len(cells) < 2:
                raise InputError(f"broken line {line!r:.80}: expected a token, a tab or a space, and a tag")
            sentence.append((cells[0], cells[-1].strip()))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def read_pairs(lines: Iterable[str]) -> Iterator[Sentence]:
    """A sentence a line: `word:tag word:tag … <=> intent`."""
    for line in lines:
        words, arrow, _ = line.partition(" <=> ")
        if not line.strip():
            continue
        pairs = [pair.rpartition(":") for pair in words.split(" ")]
        if not arrow or not all(word and tag for word, _, tag in pairs):
            raise InputError(f"broken line {line!r:.80}: expected `word:tag … <=> intent`")
        yield [(word, tag) for word, _, tag in pairs]


def from_iob2(tags: Sequence[str]) -> list[str]:
    """The tags as they are, once they are known to be tags."""
    for tag in tags:
        split_tag(tag)
    return list(tags)


def from_iob1(tags: Sequence[str]) -> list[str]:
    """B only stands between entities of one type that touch: begin every entity with it."""
    return bio_from_spans(len(tags), spans_from_bio(tags))


def from_io(tags: Sequence[str]) -> list[str]:
    """Bare types: a run of one type is one entity."""
    return from_iob1([tag if tag == OUTSIDE else f"I-{tag}" for tag in tags])


def from_bioes(tags: Sequence[str]) -> list[str]:
    """E ends an entity and S is a whole one; both say no more than B and I do."""
    return from_iob1([{"E": "I", "S": "B"}.get(tag[:1], tag[:1]) + tag[1:] for tag in tags])


READERS: Mapping[str, Reader] = {"columns": read_columns, "pairs": read_pairs}
SCHEMES: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    "iob2": from_iob2, "iob1": from_iob1, "io": from_io, "bioes": from_bioes,
}  # fmt: skip


class _Lines:
    """The lines of a file but those that begin with one of `drop`; `number` is the line that was read last."""

    def __init__(self, path: Path, drop: tuple[str, ...]) -> None:
        self._path, self._drop, self.number = path, drop, 0

    def __iter__(self) -> Iterator[str]:
        """Yield lines without their ends; raise InputError for what is no text, or too long."""
        with self._path.open("rb") as stream:
            while raw := stream.readline(_LONGEST_LINE + 1):
                self.number += 1
                line = self._decode(raw)
                if not line.startswith(self._drop):
                    yield line

    def _decode(self, raw: bytes) -> str:
        if len(raw) > _LONGEST_LINE:
            raise InputError(f"longer than {_LONGEST_LINE} bytes; that is no annotated text")
        try:
            line = raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"not UTF-8 at byte {error.start} of the line") from None
        return line.removesuffix("\n").removesuffix("\r")


def _token(token: str) -> str:
    """A token without white space."""
    return "".join(token.split()) or EMPTY
