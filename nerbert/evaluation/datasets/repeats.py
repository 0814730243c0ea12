"""Equal sentences among any number: how often one is repeated, is in two splits, or has other entities elsewhere.

A sentence is 22 bytes in a temporary file. Cost: it is read once for each two million.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from nerbert.artifacts import writing
from nerbert.labels import word_spans
from nerbert.records import Example
from nerbert.rng import hash64

_KEPT = np.dtype([("words", "u8"), ("entities", "u8"), ("number", "u4"), ("split", "u1"), ("counts", "u1")])
_BLOCK = 1 << 16
_AT_ONCE = 1 << 21
_MOST_PLACES = 20
Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class Repeats:
    """The equal sentences, by the number of a split."""

    repeated: Counter[int] = field(default_factory=Counter)
    """Sentences equal to an earlier one of the split."""
    duplicates: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Sentences of the second split, with enough words, that are in the first."""
    conflicts: int = 0
    """Sentences that have different entities in different places."""
    examples: list[list[tuple[int, int]]] = field(default_factory=list)
    """The first of these, each with the split and number (from 0) of its places."""


class SentenceTable:
    """The sentences of a data set by their digests, in a temporary file, deleted when the block ends."""

    def __init__(self, at_least: int, at_once: int = _AT_ONCE) -> None:
        """Make a table; sentences of `at_least` words count as duplicates, and `at_once` are compared in memory."""
        self._at_least, self._at_once = at_least, at_once
        self._numbers, self._rows, self._size = Counter[int](), list[tuple[int, ...]](), 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(tempfile.TemporaryFile())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(self, split: int, example: Example) -> int:
        """Add the next sentence of a split, and return its number in it."""
        number = self._numbers[split]
        self._numbers[split] += 1
        tokens = example.tokens
        row = hash64("\n".join(tokens)), hash64(repr(word_spans(example))) if example.spans else 0
        self._rows.append((*row, number, split, len(tokens) >= self._at_least))
        if len(self._rows) == _BLOCK:
            self._flush()
        return number

    def repeats(self, shown: int) -> Repeats:
        """Return the equal sentences, with `shown` conflicts, in the order in which they first occur."""
        self._flush()
        found, firsts = Repeats(), list[tuple[int, list[tuple[int, int]]]]()
        parts = -(-self._size // self._at_once)
        for part in range(parts):
            places, rows = self._part(part, parts)
            if not len(rows):
                continue
            _count(rows, sorted(self._numbers), found)
            order, starts, ends = _conflicts(places, rows)
            found.conflicts += len(starts)
            for each in np.argsort(places[order[starts]])[:shown]:
                equal = order[starts[each] : ends[each]]
                equal_rows = rows[equal[:_MOST_PLACES]]
                firsts.append((int(places[equal[0]]), [(int(row["split"]), int(row["number"])) for row in equal_rows]))
        found.examples = [each for _, each in sorted(firsts)[:shown]]
        return found

    def _flush(self) -> None:
        with writing(Path(tempfile.gettempdir())):
            np.array(self._rows, _KEPT).tofile(self._file)
        self._size += len(self._rows)
        self._rows.clear()

    def _part(self, part: int, parts: int) -> tuple[Array, Array]:
        """Return the rows of one part, and their places in the file."""
        self._file.seek(0)
        places, rows = list[Array](), list[Array]()
        for start in range(0, self._size, self._at_once):
            block = np.fromfile(self._file, _KEPT, min(self._at_once, self._size - start))
            inside = np.flatnonzero(block["words"] % parts == part)
            places.append(inside + start)
            rows.append(block[inside])
        return np.concatenate(places), np.concatenate(rows)


def _count(rows: Array, splits: Sequence[int], found: Repeats) -> None:
    """Count repeats within a split, and between two."""
    words = {split: rows["words"][rows["split"] == split] for split in splits}
    counting = {split: rows["words"][(rows["split"] == split) & (rows["counts"] == 1)] for split in splits}
    for split in splits:
        found.repeated[split] += len(words[split]) - len(np.unique(words[split]))
        for first in splits:
            if first < split:
                found.duplicates[first, split] += int(np.isin(counting[split], words[first]).sum())


def _conflicts(places: Array, rows: Array) -> tuple[Array, Array, Array]:
    """Return an order of the rows, and the range in it of each sentence with different entities."""
    order = np.lexsort((places, rows["words"]))
    words, entities = rows["words"][order], rows["entities"][order]
    starts = np.flatnonzero(np.append(True, words[1:] != words[:-1]))
    differ = np.minimum.reduceat(entities, starts) != np.maximum.reduceat(entities, starts)
    return order, starts[differ], np.append(starts[1:], len(words))[differ]
