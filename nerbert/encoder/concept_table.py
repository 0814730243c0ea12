"""Concepts by number, and what each word has of them: a word's label is the number of its row; row 0 is no concept.

Concepts may come from several sources. A text tells nothing about a concept that its own source doesn't have.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from nerbert.labels import fold_type, word_spans
from nerbert.records import Example
from nerbert.rng import Array, uniforms

ROOT = "entity"
"""The concept of a word whose own is not known, and the ancestor of all others."""
_HALF = 0.5
"""Chance of another word for a name, and of a description."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A word's class: a normalised name, a description ("": none), the names of its ancestors, and its other names."""

    name: str
    description: str = ""
    ancestors: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return what the concept encoder reads."""
        return _with_description(self.name, self.description)


def _with_description(name: str, description: str) -> str:
    return f"{name}: {description}" if description else name


Asked = tuple[str, ...] | None
"""The names that were asked for; None: all of the table; `all_of(source)`: all of one source."""
Row = tuple[tuple[int, ...], Asked]
"""The numbers of a word's concepts, sorted, and what was asked for."""


UNKNOWN: Row = ((), ())
"""The row of a word of which nothing is known."""


def all_of(source: int) -> tuple[str, str]:
    """Return what stands for all names of a source; no name is empty."""
    return ("", str(source))


def _source_of(asked: Asked) -> int | None:
    return int(asked[1]) if asked and not asked[0] else None


class _Relations(NamedTuple):
    """Each name's direct ancestors and descendants, without those `beside` it: both were given as above the other."""

    above: dict[str, set[str]]
    below: dict[str, set[str]]
    beside: dict[str, set[str]]


class _Index(NamedTuple):
    """Numbers of the distinct names of a table: `names` by name, `of_concepts` (concepts,) by concept."""

    names: dict[str, int]
    of_concepts: Array
    members: list[Array]
    """For each source (concepts,): whether it has a concept."""
    unknown: dict[tuple[int, ...], tuple[Array, Array]]
    """By a row's concepts: the names that are unknown beside them, and those of their descendants."""

    def numbers_of(self, names: Iterable[str]) -> Array:
        """Return the numbers of the names that the table has."""
        return np.array([self.names[name] for name in names if name in self.names], np.int64)


@dataclass
class ConceptTable:
    """Concepts by number, how many mentions each has in so many `sentences`, and the rows that words are labelled with.

    Row 0 is that of a word with no concept. Of a name all concepts have the same ancestors. `sources` are the numbers
    of each source's concepts, once there are several. `synonyms` are other words for names, by name; in training names
    are `reworded` where they are read: by synonyms, and by `wordings`, the words of other languages, say. A wording may
    be that of several names, so it says nothing about which concepts are the same.
    """

    concepts: list[Concept] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rows: dict[Row, int] = field(default_factory=lambda: {((), None): 0})
    sentences: int = 0
    sources: list[frozenset[int]] = field(default_factory=list)
    synonyms: Mapping[str, Collection[str]] = field(default_factory=dict)
    wordings: dict[str, set[str]] = field(default_factory=dict)
    reworded: bool = False
    _numbers: dict[str, int] = field(default_factory=dict)
    _described: dict[str, list[int]] = field(default_factory=dict)
    _above: dict[str, set[str]] = field(default_factory=dict)
    _other_names: dict[str, set[str]] = field(default_factory=dict)

    def add(self, concept: Concept, count: int = 0) -> int:
        """Return the number of a concept, a new one if none has its text; `count` more mentions have it."""
        # A name with another description is another concept: the encoder reads another text.
        number = self._numbers.setdefault(concept.text, len(self.concepts))
        if number == len(self.concepts):
            self.concepts.append(concept)
            self.counts.append(0)
            if concept.description:
                self._described.setdefault(concept.name, []).append(number)
        self.counts[number] += count
        self.put_below(concept.name, concept.ancestors)
        for other in concept.other_names:
            self._other_names.setdefault(concept.name, set()).add(other)
            # Both ways: of two names either may be the one that is asked for.
            self._other_names.setdefault(other, set()).add(concept.name)
        return number

    def put_below(self, name: str, ancestors: Iterable[str]) -> None:
        """Add ancestors of a name."""
        self._above.setdefault(name, set()).update(ancestors)
        self._forget()

    def add_wordings(self, wordings: Mapping[str, Iterable[str]]) -> None:
        """Add what may be read in place of names, by name; normalise both."""
        for name, others in wordings.items():
            self.wordings.setdefault(fold_type(name), set()).update(map(fold_type, others))

    def _forget(self) -> None:
        """Forget what was computed of the table, which has changed."""
        for name in ("_relations", "_index"):
            vars(self).pop(name, None)

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Return the ancestors that were given of a name, sorted."""
        return tuple(sorted(self._above.get(name, ())))

    def number_of(self, text: str) -> int:
        """Return the number of the concept with a text."""
        return self._numbers[text]

    def close(self) -> None:
        """Make the present concepts those of the first source: texts of others don't have them annotated."""
        self.sources, rows = [frozenset(range(len(self.concepts)))], list(self.rows)
        self.rows = {rows[0]: 0}
        self._forget()
        self.add_rows((concepts, all_of(0) if asked is None else asked) for concepts, asked in rows)

    def extend(self, other: "ConceptTable") -> None:
        """Add all of another table; it is a source of its own where this one is closed."""
        numbers = [self.add(concept, count) for concept, count in zip(other.concepts, other.counts, strict=True)]
        every: Asked = None
        if self.sources:
            # A text says nothing about concepts of other sources: "all" means all of its own.
            every = all_of(len(self.sources))
            self.sources.append(frozenset(numbers))
            self._forget()
        for name, above in other._above.items():
            self.put_below(name, above)
        self.add_wordings(other.wordings)
        # A concept that was given twice has the other names of both.
        for name, others in other._other_names.items():
            self._other_names.setdefault(name, set()).update(others)
        self.add_rows(
            (tuple(sorted(numbers[number] for number in concepts)), every if asked is None else asked)
            for concepts, asked in other.rows
        )
        self.sentences += other.sentences

    def word_rows(self, example: Example, texts: Mapping[str, str] | None = None) -> list[Row]:
        """Return the rows of an example's words; its spans may overlap, and `texts` gives the concepts of their types.

        Without `texts` a type is the text of its concept. What an example was `asked` for counts, if known (types with
        `texts`, else names); else all of the first source with `texts`, all of the last one without them. A mention
        with only `ROOT` leaves other concepts unknown. Raise InputError for a span that cuts a word.
        """
        rows: list[set[int]] = [set() for _ in example.words]
        for start, end, type_ in word_spans(example):
            for row in rows[start:end]:
                row.add(self._numbers[texts[type_] if texts is not None else type_])
        # What a text was asked for is given in its own terms, types or names; rows hold names.
        asked: Asked = example.asked
        if texts is not None and example.asked:
            asked = tuple(texts.get(type_, type_) for type_ in example.asked)
        # Texts of corpora, which have `texts`, are of the first source; open types are of the last one.
        if asked is None and self.sources:
            asked = all_of(0 if texts is not None else len(self.sources) - 1)
        return [
            # A link whose type isn't known may be anything: only `ROOT` counts as asked for.
            (tuple(sorted(row)), (ROOT,) if {self.concepts[number].name for number in row} == {ROOT} else asked)
            for row in rows
        ]

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Give numbers to rows that have none yet."""
        for row in rows:
            self.rows.setdefault(row, len(self.rows))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of concepts, rows and sources."""
        concepts = [[concept.text, self.ancestors(concept.name)] for concept in self.concepts]
        content = [concepts, list(self.rows), [sorted(source) for source in self.sources]]
        return sha256(json.dumps(content).encode()).hexdigest()

    def count_expected(self, sentences: int) -> float:
        """Return the expected number of different concepts in so many sentences, any of which has a mention."""
        shares = np.array(self.counts, np.float64) * sentences / max(1, self.sentences)
        return float((1 - np.exp(-shares)).sum())

    def masks(self, rows: Sequence[Row], concepts: Array) -> tuple[Array, Array]:
        """Return (rows, concepts) twice: whether a row has a concept, and whether that is known.

        Unknown are concepts that were not asked for; and beside a row's own their synonyms, ancestors and descendants:
        a person may be a politician. A descendant that an annotator was asked for by name is known to be absent.
        """
        index = self._index
        columns = {number: column for column, number in enumerate(concepts.tolist())}
        names = index.of_concepts[concepts]
        has = np.zeros((len(rows), len(concepts)), bool)
        known = np.ones((len(rows), len(concepts)), bool)
        asked_of: dict[Asked, Array] = {}
        for row, (numbers, asked) in enumerate(rows):
            if asked is not None:
                if asked not in asked_of:
                    source = _source_of(asked)
                    asked_of[asked] = (
                        np.isin(names, index.numbers_of(asked)) if source is None else index.members[source][concepts]
                    )
                known[row] = asked_of[asked]
            if numbers:
                if numbers not in index.unknown:
                    mine = {self.concepts[number].name for number in numbers}
                    unknown = self._above_and_beside(mine), self._follow(mine, self._relations.below)
                    index.unknown[numbers] = index.numbers_of(unknown[0]), index.numbers_of(unknown[1])
                beside, below = index.unknown[numbers]
                known[row] &= ~np.isin(names, beside)
                # A person may be a politician: only a descendant that was asked for by name
                # is known to be absent.
                if asked is None or _source_of(asked) is not None:
                    known[row] &= ~np.isin(names, below)
                # A row's own concepts are known, although they are among their own synonyms.
                here = [columns[number] for number in numbers if number in columns]
                has[row, here] = known[row, here] = True
        return has, known

    @cached_property
    def _index(self) -> _Index:
        names: dict[str, int] = {}
        of_concepts = np.array([names.setdefault(concept.name, len(names)) for concept in self.concepts], np.int64)
        members = [np.isin(np.arange(len(self.concepts)), list(source)) for source in self.sources]
        return _Index(names, of_concepts, members, {})

    @cached_property
    def _relations(self) -> _Relations:
        relations = _Relations(defaultdict(set), defaultdict(set), defaultdict(set))
        for name, ancestors in self._above.items():
            for ancestor in ancestors:
                # Two sources may contradict each other ("organisation" above "company" and the reverse).
                if name in self._above.get(ancestor, ()):
                    relations.beside[name].add(ancestor)
                else:
                    relations.above[name].add(ancestor)
                    relations.below[ancestor].add(name)
        return relations

    @property
    def contradictions(self) -> list[tuple[str, str]]:
        """Return pairs of names each of which was given as the other's ancestor: nothing is known of one beside it."""
        beside = self._relations.beside
        return sorted((name, other) for name, others in beside.items() for other in others if name < other)

    def _above_and_beside(self, names: Collection[str]) -> set[str]:
        """Return names, their ancestors and those that contradict them, with all synonyms."""
        relations = self._relations
        related = self._follow(names, relations.above) | {ROOT}
        # What contradicts a synonym contradicts the name.
        same = set[str]().union(*map(self.names_like, names))
        return related.union(*(relations.beside.get(name, ()) for name in same))

    def _follow(self, names: Collection[str], next_to: Mapping[str, Collection[str]]) -> set[str]:
        """Return names and all that are next to them, directly or not, with all synonyms."""
        reached = set[str]()
        todo = list(names)
        while todo:
            # Synonyms and ancestors may lead in a circle.
            if (name := todo.pop()) not in reached:
                reached.add(name)
                todo += [*self.synonyms.get(name, ()), *self._other_names.get(name, ()), *next_to.get(name, ())]
        return reached

    def names_like(self, name: str) -> set[str]:
        """Return a name and all its synonyms."""
        return self._follow([name], {})

    def texts_of(self, number: int) -> list[str]:
        """Return all that may be read of a concept in training, its `text` first."""
        concept = self.concepts[number]
        if not self.reworded:
            return [concept.text]
        names = self._wordings(number)
        described = [_with_description(name, concept.description) for name in names]
        return list(dict.fromkeys([*described, *names]))

    def _wordings(self, number: int) -> list[str]:
        """Return a concept's name, and what else may be read in its place after it."""
        name = self.concepts[number].name
        return [name, *sorted((self.names_like(name) | self.wordings.get(name, set())) - {name})]

    def texts_read(self, numbers: Iterable[int], seed: int, step: int | None) -> list[str]:
        """Return what a step reads of some concepts: with `reworded`, another word for half of them, never another's.

        A description is read in half of the steps. Without a `step`, as in scoring, it is the concepts' `text`.
        """
        concepts = np.array([*numbers], np.int64)
        if not self.reworded or step is None:
            return [self.concepts[number].text for number in concepts.tolist()]
        words, descriptions = (
            uniforms(seed, f"{what} of step {step}", concepts).tolist() for what in ("words", "descriptions")
        )
        chances = zip(concepts.tolist(), words, descriptions, strict=True)
        texts = list[str]()
        # A word that is another concept's name in this step would stand for both.
        taken = {self.concepts[number].name for number in concepts.tolist()}
        for number, chance, described in chances:
            name, *others = self._wordings(number)
            if others and chance >= _HALF:
                other = others[int((chance - _HALF) / _HALF * len(others))]
                name = name if other in taken else other
                taken.add(other)
            texts.append(_with_description(name, self.concepts[number].description if described < _HALF else ""))
        return texts

    def candidates(self, rows: Iterable[Row]) -> Array:
        """Return the numbers of all concepts that some rows have or were asked for by name, in order.

        A concept that was only asked for has no description. Those of its name with one replace it: else a model would
        learn that a name without a description is always absent.
        """
        numbers = set[int]()
        lists = dict[int, tuple[str, ...]]()
        for concepts, asked in rows:
            numbers.update(concepts)
            if asked:
                # By identity: comparing lists of thousands of names for each row takes long.
                lists[id(asked)] = asked
        # `all_of(source)` has an empty first name: it would make every concept of the source a candidate.
        for name in {name for asked in lists.values() if asked[0] for name in asked}:
            bare = [self._numbers[name]] if name in self._numbers else []
            numbers.update(self._described.get(name, bare))
        return np.array(sorted(numbers), np.int64)
