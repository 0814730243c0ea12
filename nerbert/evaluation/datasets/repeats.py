"""Equal sentences of a data set: repeats, sentences in two splits, and sentences with other entities elsewhere.

Cost: some 200 bytes of memory for each different sentence.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from nerbert.evaluation.datasets.load import AT_LEAST
from nerbert.labels import word_spans
from nerbert.records import Example
from nerbert.rng import hash64

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Conflict:
    """Equal sentences with different tags: the text, and each one's split and place (from 0), the first twenty."""

    text: str
    places: tuple[tuple[str, int], ...]
    lines: tuple[str, ...] = ()
    """The places as file and line."""


class Repeats:
    """Counts the equal sentences of a data set, then finds those that differ in their entities."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = defaultdict(Counter)
        """By split, the number of sentences by the digest of their words."""
        self._long = set[int]()
        self._entities = dict[int, int]()
        self._differ = set[int]()
        self._numbers, self._shown = Counter[str](), dict[int, tuple[str, list[tuple[str, int, str]]]]()

    def count(self, split: str, example: Example) -> None:
        """Count a sentence of a split."""
        words, entities = _digest(example), hash64(repr(word_spans(example))) if example.spans else 0
        self._counts[split][words] += 1
        if len(example.words) >= AT_LEAST:
            self._long.add(words)
        if self._entities.setdefault(words, entities) != entities:
            self._differ.add(words)

    def look(self, split: str, example: Example, place: str) -> None:
        """Note the place of a counted sentence if it has other entities elsewhere."""
        number = self._numbers[split]
        self._numbers[split] += 1
        if (words := _digest(example)) in self._differ and (words in self._shown or len(self._shown) < _SHOWN):
            places = self._shown.setdefault(words, (" ".join(example.tokens), []))[1]
            if len(places) < _SHOWN:
                places.append((split, number, place))

    def repeated(self, split: str) -> int:
        """Return the number of sentences equal to an earlier one of the split."""
        return self._counts[split].total() - len(self._counts[split])

    def duplicates(self, one: str, other: str) -> int:
        """Return the number of sentences of `other`, with enough words, that are in `one`."""
        known = self._counts[one].keys() & self._long
        return sum(count for words, count in self._counts[other].items() if words in known)

    @property
    def conflicts(self) -> int:
        """Return the number of sentences that have different entities in different places."""
        return len(self._differ)

    def conflict_examples(self) -> tuple[Conflict, ...]:
        """Return the first of these, in the order in which they first occur."""
        return tuple(
            Conflict(text, tuple((split, number) for split, number, _ in places), tuple(line for *_, line in places))
            for text, places in self._shown.values()
        )


def _digest(example: Example) -> int:
    return hash64("\n".join(example.tokens))
