"""Prompts and targets of a GLiNER model: entities from words' labels, and which spans and types are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nerbert.encoder.concept_table import ROOT, UNKNOWN, ConceptTable, Row
from nerbert.encoder.open_texts import OpenExample
from nerbert.labels import word_spans
from nerbert.model.tokenizer import WordLabels
from nerbert.model.windows import IGNORED, Label, Windows, take_column
from nerbert.records import Example
from nerbert.rng import Array, uniform, uniforms

_CONCEPTS = 12
"""Maximum number of a word's concepts with marks: a bit for the first word of an entity, and one for the last."""
_LOST = 2 * _CONCEPTS
"""Position of the first bit of the number of entities that are too long."""
_MOST_LOST = 63
_SHORT = 3
"""Length of words that are ignored in names of types (of, the, for), in letters, at most."""


class ConceptLabels(WordLabels):
    """Labels words with rows of a table: the concepts of their entities (`texts`: of a corpus's categories)."""

    def __init__(self, table: ConceptTable, texts: Mapping[str, str]) -> None:
        self._table, self._texts = table, texts

    def of(self, example: Example) -> list[Label]:
        """Return the number of each word's row; raise InputError for an entity that cuts a word."""
        return [self._table.rows[row] for row in self.rows_of(example)]

    def rows_of(self, example: Example) -> list[Row]:
        """Return each word's row."""
        return self._table.word_rows(example, None if isinstance(example, OpenExample) else self._texts)

    def number_of(self, example: Example, type_: str) -> int:
        """Return the number of the concept of a span's type."""
        return self._table.number_of(type_ if isinstance(example, OpenExample) else self._texts[type_])

    def key(self) -> list[Any]:
        """Return the concepts of categories, and the digest of the table."""
        return [sorted(self._texts.items()), self._table.digest]


class SpanLabels(ConceptLabels):
    """Labels words with a row of a table and marks; entities of more than `max_width` words (0: no limit) are lost."""

    ignored: Label = (IGNORED, 0)

    def __init__(self, table: ConceptTable, texts: Mapping[str, str], max_width: int) -> None:
        super().__init__(table, texts)
        self._max_width = max_width

    def of(self, example: Example) -> list[Label]:
        """Return the row and the marks of each word; raise InputError for an entity that cuts a word."""
        rows = self.rows_of(example)
        marks = [0] * len(rows)
        for start, end, type_ in word_spans(example):
            number = self.number_of(example, type_)
            for word, shift in ((start, 0), (end - 1, _CONCEPTS)):
                # A word in more nested entities than there are bits: the last ones have no
                # marks, and aren't read back.
                if (index := rows[word][0].index(number)) < _CONCEPTS:
                    marks[word] |= 1 << (index + shift)
            if self._max_width and end - start > self._max_width and marks[start] >> _LOST < _MOST_LOST:
                marks[start] += 1 << _LOST
        return [(self._table.rows[row], mark) for row, mark in zip(rows, marks, strict=True)]

    def key(self) -> list[Any]:
        """Return the values that determine the labels."""
        return [*super().key(), self._max_width]


@dataclass(frozen=True, slots=True)
class WindowLabels:
    """A window's labels: distinct `rows` of the table, `indices` (words,) of each word's row, and `marks` (words,)."""

    rows: list[Row]
    indices: Array
    marks: Array

    @classmethod
    def of(cls, labels: Array, rows: Sequence[Row]) -> "WindowLabels":
        """Return the labels of a window, given as (words, 2), and all rows of the table."""
        numbers, indices = np.unique(labels[:, 0], return_inverse=True)
        of_labels = [rows[number] if number != IGNORED else UNKNOWN for number in numbers.tolist()]
        return cls(of_labels, indices, labels[:, 1])

    @classmethod
    def by_window(cls, windows: Windows, numbers: Array, rows: Sequence[Row]) -> "dict[int, WindowLabels]":
        """Return the labels of windows, by window number; `rows` are all rows of the table."""
        numbers = np.unique(numbers)
        column, counts = take_column(windows.labels, windows.word_ends, numbers)
        parts = np.split(column, np.cumsum(counts)[:-1])
        return {number: cls.of(part, rows) for number, part in zip(numbers.tolist(), parts, strict=True)}

    @property
    def concepts(self) -> set[int]:
        """Return the concepts of its words."""
        return {number for concepts, _ in self.rows for number in concepts}

    @property
    def mentions(self) -> int:
        """Return the number of entities that begin in the window."""
        return _count_starts(self.marks)

    def absent(self, table: ConceptTable, types: Array) -> Array:
        """Return the types that are absent from all words of which more than `ROOT` is known."""
        # A link of unknown type says nothing about other types, and must not keep them all
        # from being absent.
        rows = [row for row in self.rows if row != UNKNOWN and (row[1] != (ROOT,) or not row[0])]
        if not rows or not len(types):
            return types[:0]
        has, known = table.masks(rows, types)
        return types[(known & ~has).all(0)]

    def spans(self, types: Array) -> list[tuple[int, int, int]]:
        """Return (first word, word after the last, index in `types`) of entities that lie inside the window."""
        columns = {number: column for column, number in enumerate(types.tolist())}
        open_: dict[int, int] = {}
        spans = []
        for word, (row, mark) in enumerate(zip(self.indices.tolist(), self.marks.tolist(), strict=True)):
            concepts = self.rows[row][0]
            # An entity of which a word is missing here has its end in another window.
            open_ = {number: start for number, start in open_.items() if number in concepts}
            for bit, number in enumerate(concepts[:_CONCEPTS]):
                if mark >> bit & 1:
                    open_[number] = word
                if mark >> (bit + _CONCEPTS) & 1 and number in open_:
                    if number in columns:
                        spans.append((open_[number], word + 1, columns[number]))
                    del open_[number]
        return spans

    def masks(self, table: ConceptTable, types: Array) -> tuple[Array, Array]:
        """Return (words, types) twice: whether a word is of a type, and whether that is known."""
        has, known = table.masks(self.rows, types)
        return has[self.indices], known[self.indices]

    def span_targets(
        self, table: ConceptTable, types: Array, max_width: int, weights: tuple[float, float]
    ) -> tuple[Array, Array]:
        """Return targets and weights of spans, (words, widths, types); `weights` are the positive and the negative one.

        Unknown spans have weight 0. At a width of 1, each word of an entity is a span.
        """
        has, known = self.masks(table, types)
        if max_width == 1:
            targets = has[:, None]
            known = known[:, None]
        else:
            targets = np.zeros((len(has), max_width, len(types)), bool)
            covered = np.zeros_like(has)
            for start, end, type_ in self.spans(types):
                # A word of a type outside all entities that were read back belongs to one
                # that isn't: nothing is known there.
                covered[start:end, type_] = True
                if end - start <= max_width:
                    targets[start, end - start - 1, type_] = True
            known = known_spans(known & (covered | ~has), max_width) | targets
        return targets.astype(np.float32), (np.where(targets, *weights) * known).astype(np.float32)


def known_spans(known: Array, max_width: int) -> Array:
    """Return (words, widths, types): True if all words of a span are known, and none is beyond the last word."""
    count = len(known)
    unknown = np.concatenate([np.zeros((1, known.shape[1]), np.int64), np.cumsum(~known, 0)])
    ends = np.arange(count)[:, None] + 1 + np.arange(max_width)
    return np.asarray((unknown[np.minimum(ends, count)] == unknown[:-1, None]) & (ends <= count)[..., None])


def count_lost(labels: Array) -> tuple[int, int]:
    """Return the number of entities that begin at words, by their labels (words, 2), and of those that are too long."""
    marks = labels[:, 1]
    return _count_starts(marks), int((marks >> _LOST).sum())


def _count_starts(marks: Array) -> int:
    """Return the number of entities that begin at words, by their marks."""
    return sum(int((marks >> bit & 1).sum()) for bit in range(_CONCEPTS))


@dataclass(slots=True)
class PromptMaker:
    """Chooses types from a table for prompts.

    `sizes` (concepts,) are the subwords of each concept in a prompt, `room` is the space for them before a window
    without text, and `most` is the maximum number of types in a prompt. At most `ratio` absent types are chosen per
    entity (None: as many as fit). Types of `always` may be in each step.
    """

    table: ConceptTable
    sizes: Array
    room: int
    most: int
    ratio: float | None
    seed: int
    always: tuple[int, ...] = ()
    _words: list[frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        names = (concept.name for concept in self.table.concepts)
        self._words = [frozenset(word for word in name.split() if len(word) > _SHORT) for name in names]

    @classmethod
    def without_limit(cls, table: ConceptTable, seed: int, most: int = 25) -> "PromptMaker":
        """Return a maker for a model that reads types apart from the text: a window's, and others up to `most`."""
        return cls(table, np.zeros(len(table.concepts), np.int64), 0, most, None, seed)

    def prompts(self, windows: Mapping[int, WindowLabels], step: int | str) -> dict[int, Array]:
        """Return the numbers of the types in each window's prompt, in order, by window number."""
        candidates = self.table.candidates(row for window in windows.values() for row in window.rows)
        shared = np.array(sorted({*candidates.tolist(), *self.always}), np.int64)
        return {
            number: self._prompt(window, shared, f"step {step} window {number}") for number, window in windows.items()
        }

    def _prompt(self, window: WindowLabels, shared: Array, purpose: str) -> Array:
        types = _shuffle(np.array(sorted(window.concepts), np.int64), self.seed, f"own of {purpose}")
        drawn = self.ratio is not None
        kept = 1 + int(uniform(self.seed, "types kept", purpose) * len(types)) if drawn and len(types) else len(types)
        types = types[: min(kept, self.most)]
        room = self.most - len(types)
        if self.ratio is not None:
            share = uniform(self.seed, "others", purpose) * self.ratio
            room = min(room, int(np.ceil(share * max(1, window.mentions))))
        others = self._choose_absent(window, window.absent(self.table, shared), room, purpose)
        both = _shuffle(np.concatenate([types, others]), self.seed, f"order of {purpose}")
        return both[np.cumsum(self.sizes[both]) <= self.room]

    def _choose_absent(self, window: WindowLabels, absent: Array, count: int, purpose: str) -> Array:
        """Return absent types: frequent, similar and random ones."""
        if count <= 0 or not len(absent):
            return absent[:0]
        chances = uniforms(self.seed, f"others of {purpose}", absent * 3 + np.arange(3)[:, None])
        counts = np.array([self.table.counts[number] for number in absent.tolist()], np.float64)
        # Exponential variables divided by weights, in order: a draw by frequency without replacement.
        frequent = np.argsort(-np.log(1 - chances[0]) / (counts + 1), kind="stable")
        # Types that share a word with one of the text's ("football club", "club") are the hard ones.
        words = frozenset[str]().union(*(self._words[number] for number in window.concepts))
        close = np.array([not words.isdisjoint(self._words[number]) for number in absent.tolist()], bool)
        similar = np.argsort(np.where(close, chances[1], np.inf), kind="stable")[: int(close.sum())]
        kinds = np.floor(3 * uniforms(self.seed, f"kinds of others of {purpose}", np.arange(count)))
        chosen = dict.fromkeys(
            [*frequent[: int((kinds == 0).sum())].tolist(), *similar[: int((kinds == 1).sum())].tolist()]
        )
        for index in np.argsort(chances[2], kind="stable").tolist():
            if len(chosen) >= count:
                break
            chosen.setdefault(index)
        return absent[list(chosen)]


def _shuffle(numbers: Array, seed: int, purpose: str) -> Array:
    """Return numbers in an order that depends only on the numbers, seed and purpose."""
    return np.asarray(numbers[np.argsort(uniforms(seed, purpose, numbers), kind="stable")])
