"""Convert publishers' files to sentences of `(token, tag)` with tags in IOB2.

A file is described by the form of its lines (`reader`), the meaning of its tags (`scheme`), and the prefixes of lines
that hold no data (`drop`). White space is removed from tokens; a token of white space alone becomes `_EMPTY_`, so that
no line is lost. Tags that are IOB2 already are kept, with their faults. Other forms can't be converted here.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nerbert.errors import InputError
from nerbert.formats.conll import split_columns
from nerbert.formats.rows import decoded
from nerbert.labels import OUTSIDE, bio_from_spans, spans_from_bio, split_tag

EMPTY = "_EMPTY_"
"""Replaces a token of white space alone."""

Sentence = list[tuple[str, str]]
Reader = Callable[[Iterable[str]], Iterator[Sentence]]

_LONGEST_LINE = 1 << 16


def read_raw(path: Path, reader: str, scheme: str, drop: Sequence[str] = ()) -> list[Sentence]:
    """Return all sentences of a file, without the lines that begin with one of `drop`.

    Raise InputError that names file and line.
    """
    number, sentences = 0, []

    def lines() -> Iterator[str]:
        nonlocal number
        with path.open("rb") as stream:
            while raw := stream.readline(_LONGEST_LINE + 1):
                number += 1
                if len(raw) > _LONGEST_LINE:
                    raise InputError(f"longer than {_LONGEST_LINE} bytes; that is no annotated text")
                line = decoded(raw, number).removesuffix("\n").removesuffix("\r")
                if not line.startswith(tuple(drop)):
                    yield line

    try:
        for sentence in READERS[reader](lines()):
            tags = SCHEMES[scheme]([tag for _, tag in sentence])
            tokens = ["".join(token.split()) or EMPTY for token, _ in sentence]
            sentences.append(list(zip(tokens, tags, strict=True)))
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from error
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
    """Return sentences in nerbert's form: `token<TAB>tag`, a blank line after each."""
    return "".join("".join(f"{token}\t{tag}\n" for token, tag in each) + "\n" for each in sentences)


def read_columns(lines: Iterable[str]) -> Iterator[Sentence]:
    """Yield sentences of lines with the token first and the tag last, separated by tabs or else spaces."""
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
    """Yield a sentence for each line `word:tag word:tag … <=> intent`."""
    for line in lines:
        words, arrow, _ = line.partition(" <=> ")
        if not line.strip():
            continue
        pairs = [pair.rpartition(":") for pair in words.split(" ")]
        if not arrow or not all(word and tag for word, _, tag in pairs):
            raise InputError(f"broken line {line!r:.80}: expected `word:tag … <=> intent`")
        yield [(word, tag) for word, _, tag in pairs]


def from_iob2(tags: Sequence[str]) -> list[str]:
    """Return the tags unchanged; raise InputError for one that is no IOB2 tag."""
    for tag in tags:
        split_tag(tag)
    return list(tags)


def from_iob1(tags: Sequence[str]) -> list[str]:
    """Convert IOB1, where B- only separates touching entities of one type: begin every entity with B-."""
    return bio_from_spans(len(tags), spans_from_bio(tags))


def from_io(tags: Sequence[str]) -> list[str]:
    """Convert bare types, where a run of one type is one entity."""
    return from_iob1([tag if tag == OUTSIDE else f"I-{tag}" for tag in tags])


def from_bioes(tags: Sequence[str]) -> list[str]:
    """Convert BIOES, where E- ends an entity and S- is a whole one."""
    return from_iob1([{"E": "I", "S": "B"}.get(tag[:1], tag[:1]) + tag[1:] for tag in tags])


READERS: Mapping[str, Reader] = {"columns": read_columns, "pairs": read_pairs}
SCHEMES: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    "iob2": from_iob2, "iob1": from_iob1, "io": from_io, "bioes": from_bioes,
}  # fmt: skip
