"""Concepts by number, and what each word has of them: a word's label is the number of its row; row 0 is no concept."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from nerbert.formats.open_types import normalised
from nerbert.labels import word_spans
from nerbert.records import Example
from nerbert.rng import Array

ROOT = "entity"
"""The concept of a word whose own is not known, and the ancestor of all others."""
_EDGES = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_]+")


def class_words(name: str) -> str:
    """Return the name of a class in words: `PoliticalParty` → `political party`."""
    return normalised(" ".join(_EDGES.split(name)))


@dataclass(frozen=True, slots=True)
class Concept:
    """A word's class: a normalised name, a description ("": none), and the names of its ancestors."""

    name: str
    description: str = ""
    ancestors: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return what the concept encoder reads."""
        return f"{self.name}: {self.description}" if self.description else self.name


Row = tuple[tuple[int, ...], tuple[str, ...] | None]
"""The numbers of a word's concepts, sorted, and the names that were asked for; None: all were."""
_CLOSED = ("",)
"""In place of names that were asked for: all of the corpus."""


@dataclass(slots=True)
class ConceptTable:
    """Concepts by number, how many mentions each has in so many `sentences`, and the rows that words are labelled with.

    Row 0 is that of a word with no concept. Of a name all concepts have the same ancestors. The first `closed` concepts
    are those of a corpus to which others were added.
    """

    concepts: list[Concept] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rows: dict[Row, int] = field(default_factory=lambda: {((), None): 0})
    sentences: int = 0
    closed: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _described: dict[str, list[int]] = field(default_factory=dict)
    _above: dict[str, set[str]] = field(default_factory=dict)

    def add(self, concept: Concept, count: int = 0) -> int:
        """Return the number of a concept, a new one if none has its text; `count` more mentions have it."""
        number = self._numbers.setdefault(concept.text, len(self.concepts))
        if number == len(self.concepts):
            self.concepts.append(concept)
            self.counts.append(0)
            if concept.description:
                self._described.setdefault(concept.name, []).append(number)
        self.counts[number] += count
        self._above.setdefault(concept.name, set()).update(concept.ancestors)
        return number

    def number_of(self, text: str) -> int:
        """Return the number of the concept with a text."""
        return self._numbers[text]

    def close(self) -> None:
        """Limit the labels of corpus texts to the present concepts: others were not annotated there."""
        self.closed, rows = len(self.concepts), list(self.rows)
        self.rows = {rows[0]: 0}
        self.add_rows((own, _CLOSED if asked is None else asked) for own, asked in rows)

    def extend(self, other: "ConceptTable") -> None:
        """Add all of another table."""
        numbers = [self.add(concept, count) for concept, count in zip(other.concepts, other.counts, strict=True)]
        for own, asked in other.rows:
            self.rows.setdefault((tuple(sorted(numbers[each] for each in own)), asked), len(self.rows))
        self.sentences += other.sentences

    def word_rows(self, example: Example, texts: Mapping[str, str] | None = None) -> list[Row]:
        """Return the rows of an example's words; its spans may overlap, and `texts` gives the concepts of their types.

        Without `texts` a type is the text of its concept. What an example was `asked` for counts, if known. A mention
        with only `ROOT` leaves other concepts unknown. Raise InputError for a span that cuts a word.
        """
        found: list[set[int]] = [set() for _ in example.words]
        for start, end, type_ in word_spans(example):
            for each in found[start:end]:
                each.add(self._numbers[texts[type_] if texts is not None else type_])
        asked = _CLOSED if example.asked is None and texts is not None and self.closed else example.asked
        return [(tuple(sorted(each)), (ROOT,) if self._is_root(each) else asked) for each in found]

    def _is_root(self, own: Collection[int]) -> bool:
        return bool(own) and all(self.concepts[number].name == ROOT for number in own)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Number rows that have none yet."""
        for each in rows:
            self.rows.setdefault(each, len(self.rows))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of concepts and rows."""
        content = [[[each.text, each.ancestors] for each in self.concepts], list(self.rows)]
        return sha256(json.dumps(content).encode()).hexdigest()

    def expected(self, sentences: int) -> float:
        """Return the expected number of different concepts in so many sentences: each mention falls into any of
        them."""
        shares = np.array(self.counts, np.float64) * sentences / max(1, self.sentences)
        return float((1 - np.exp(-shares)).sum())

    def masks(self, rows: Sequence[Row], concepts: Array) -> tuple[Array, Array]:
        """Return (rows, concepts) twice: whether a row has a concept, and whether that is known.

        Unknown are concepts that were not asked for, and those with the name of a row's concept or of its ancestors.
        """
        columns: dict[str, list[int]] = {}
        for column, number in enumerate(concepts.tolist()):
            columns.setdefault(self.concepts[number].name, []).append(column)
            if number < self.closed:
                columns.setdefault(_CLOSED[0], []).append(column)
        places = {number: column for column, number in enumerate(concepts.tolist())}
        has = np.zeros((len(rows), len(concepts)), bool)
        known = np.ones((len(rows), len(concepts)), bool)
        for place, (own, asked) in enumerate(rows):
            if asked is not None:
                known[place] = False
                known[place, [column for name in asked for column in columns.get(name, ())]] = True
            known[place, [column for name in self.unknown_beside(own) for column in columns.get(name, ())]] = False
            mine = [places[each] for each in own if each in places]
            has[place, mine] = known[place, mine] = True
        return has, known

    def unknown_beside(self, own: Iterable[int]) -> set[str]:
        """Return the names of some concepts and of their ancestors."""
        names = {self.concepts[each].name for each in own}
        return names.union({ROOT}, *(self._above[name] for name in names)) if names else set()

    def candidates(self, rows: Iterable[Row]) -> Array:
        """Return the numbers of all concepts that some rows have or were asked for, in order.

        A concept that was only asked for has no description. Those of its name with one replace it: else a model would
        learn that a name without a description is always absent.
        """
        found = set[int]()
        for own, asked in rows:
            found.update(own)
            for name in asked or ():
                bare = [self._numbers[name]] if name in self._numbers else []
                found.update(self._described.get(name, bare))
        return np.array(sorted(found), np.int64)
