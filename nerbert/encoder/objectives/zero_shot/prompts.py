"""The types in each window's prompt: its own, and some that are known to be absent (as in GLiNER)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nerbert.encoder.objectives.zero_shot.span_labels import WindowLabels
from nerbert.model.concept_table import ConceptTable
from nerbert.rng import Array, uniform, uniforms

_SHORT = 3
"""Words of up to so many letters are ignored in names of types (of, the, for)."""


@dataclass(slots=True)
class PromptMaker:
    """Chooses types from a table.

    `sizes` (concepts,) are the pieces that each takes in a prompt, `room` how many there are before a window without
    text, and `most` is how many types a prompt may have. At most `ratio` types that are not there are taken for each
    entity (None: as many as there is room for). Types of `barred` are never asked for, those of `always` may be in
    each step.
    """

    table: ConceptTable
    sizes: Array
    room: int
    most: int
    ratio: float | None
    seed: int
    barred: frozenset[int] = frozenset()
    always: tuple[int, ...] = ()
    _words: list[frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        names = (each.name for each in self.table.concepts)
        self._words = [frozenset(word for word in name.split() if len(word) > _SHORT) for name in names]

    @classmethod
    def without_limit(
        cls, table: ConceptTable, seed: int, barred: frozenset[int] = frozenset(), most: int = 25
    ) -> "PromptMaker":
        """Return one for a model that reads types apart from the text: all of a window's, and others up to `most`."""
        return cls(table, np.zeros(len(table.concepts), np.int64), 0, most, None, seed, barred)

    def prompts(self, windows: Mapping[int, WindowLabels], step: int | str) -> dict[int, Array]:
        """Return the numbers of the types in each window's prompt, in order, by the number of the window."""
        found = self.table.candidates(row for each in windows.values() for row in each.rows)
        shared = self._allowed(sorted({*found.tolist(), *self.always}))
        return {number: self._prompt(window, shared, f"step {step} window {number}")
                for number, window in windows.items()}  # fmt: skip

    def _allowed(self, types: Iterable[int]) -> Array:
        return np.array([each for each in types if each not in self.barred], np.int64)

    def _prompt(self, window: WindowLabels, shared: Array, what: str) -> Array:
        own = _shuffled(self._allowed(sorted(window.own)), self.seed, f"own of {what}")
        drawn = self.ratio is not None
        kept = 1 + int(uniform(self.seed, "types kept", what) * len(own)) if drawn and len(own) else len(own)
        own = own[: min(kept, self.most)]
        wanted = self.most - len(own)
        if self.ratio is not None:
            share = uniform(self.seed, "others", what) * self.ratio
            wanted = min(wanted, int(np.ceil(share * max(1, window.mentions))))
        others = self._others(window, window.absent(self.table, shared), wanted, what)
        both = _shuffled(np.concatenate([own, others]), self.seed, f"order of {what}")
        inside = np.cumsum(self.sizes[both]) <= self.room
        return both[inside]

    def _others(self, window: WindowLabels, absent: Array, wanted: int, what: str) -> Array:
        """Return absent types: frequent, similar and random ones."""
        if wanted <= 0 or not len(absent):
            return absent[:0]
        chances = uniforms(self.seed, f"others of {what}", absent * 3 + np.arange(3)[:, None])
        counts = np.array([self.table.counts[number] for number in absent.tolist()], np.float64)
        frequent = np.argsort(-np.log(1 - chances[0]) / (counts + 1), kind="stable")  # drawn without replacement
        words = frozenset[str]().union(*(self._words[number] for number in window.own))
        close = np.array([not words.isdisjoint(self._words[number]) for number in absent.tolist()], bool)
        similar = np.argsort(np.where(close, chances[1], np.inf), kind="stable")[: int(close.sum())]
        kinds = np.floor(3 * uniforms(self.seed, f"kinds of others of {what}", np.arange(wanted)))
        chosen = dict.fromkeys([*frequent[: int((kinds == 0).sum())].tolist(),
                                *similar[: int((kinds == 1).sum())].tolist()])  # fmt: skip
        for place in np.argsort(chances[2], kind="stable").tolist():
            if len(chosen) >= wanted:
                break
            chosen.setdefault(place)
        return absent[list(chosen)]


def _shuffled(numbers: Array, seed: int, what: str) -> Array:
    """Return numbers in an order that depends on seed, purpose and the numbers alone."""
    order: Array = numbers[np.argsort(uniforms(seed, what, numbers), kind="stable")]
    return order
