"""The frame of a system that is not nerbert's own (docs/extending/external-system.md): train, keep, tag.

`python SCRIPT TRAIN DEV TEST OUTPUT SEED [--keep FOLDER]` trains on TRAIN and writes TEST with its entities to OUTPUT.
With --keep the tagger stays in FOLDER; a tagger that is there already is used without training, so frontier.py can
measure tagging alone. Needs nothing but Python: each system has its own environment.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any

Sentence = tuple[list[str], list[str]]
"""Words, and a BIO tag of each."""
Span = tuple[int, int, str]
"""First word, the word after the last, type."""
_TRAINED = "trained"


def run(
    train: Callable[[Any, Path], None], tag: Callable[[Any, Path], None], parser: argparse.ArgumentParser | None = None
) -> None:
    """Parse the command line, train into a folder unless that is done, and tag; both get the options and the folder."""
    parser = parser or argparse.ArgumentParser()
    for name in ("train", "dev", "test", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _TRAINED).exists():
            train(options, folder)
            (folder / _TRAINED).touch()
        tag(options, folder)


def sentences(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a CoNLL file."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        if block.strip():
            words, tags = zip(*(line.split("\t") for line in block.strip("\n").split("\n")), strict=True)
            yield list(words), list(tags)


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Return the entities of BIO tags."""
    spans: list[Span] = []
    for place, tag in enumerate(tags):
        mark, _, type_ = tag.partition("-")
        if mark == "I" and spans and spans[-1][1:] == (place, type_):
            spans[-1] = (spans[-1][0], place + 1, type_)
        elif mark in ("B", "I"):
            spans.append((place, place + 1, type_))
    return spans


def starts_of(words: Sequence[str]) -> list[int]:
    """Return where each word begins in the words joined by single spaces."""
    return [end - len(word) - 1 for word, end in zip(words, accumulate(len(word) + 1 for word in words), strict=True)]


def whole_words(words: Sequence[str], entities: Iterable[Span]) -> list[Span]:
    """Return entities given by characters of the words joined by single spaces; one that cuts a word takes it whole.

    Of entities that overlap, the first one counts.
    """
    starts = starts_of(words)
    spans: list[Span] = []
    for start, end, type_ in entities:
        inside = [place for place, at in enumerate(starts) if at < end and at + len(words[place]) > start]
        if inside and all(inside[-1] < first or last <= inside[0] for first, last, _ in spans):
            spans.append((inside[0], inside[-1] + 1, type_))
    return sorted(spans)


def write(path: Path, tagged: Iterable[tuple[Sequence[str], Iterable[Span]]]) -> None:
    """Write sentences with their entities as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for words, found in tagged:
            starts = starts_of(words)
            spans = [
                {"start": starts[first], "end": starts[last - 1] + len(words[last - 1]), "type": type_}
                for first, last, type_ in found
            ]
            file.write(json.dumps({"text": " ".join(words), "spans": spans}) + "\n")
