"""A cell of a benchmark: its place, its sentences, its predictions and its outcome."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from nerbert.records import Example


class CellKey(NamedTuple):
    """The place of a cell: one training and its score."""

    system: str
    target: str
    size: str
    draw: int
    seed: int
    protocol: str


class State(StrEnum):
    """The state of a cell."""

    DONE = "done"
    FAILED = "failed"
    NOT_RUN = "not_run"


TRY_AGAIN = "try_again"
"""The fact of a failed cell that every run tries again: it failed by the machine (it was killed, the disk was full)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with its outcome. Everything is JSON; figures are 0–1.

    `scores` is what `nerbert.metrics` says of the test sentences: the same keys in every cell that is done. `facts`
    says how it was made: versions, hashes, settings, device, precision, CPU-seconds, sizes, k reached, types unknown
    to train.
    """

    place: CellKey
    state: State
    why: str = ""
    """Why it failed or didn't run, in one line."""
    scores: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def try_again(self) -> bool:
        """Whether it failed in a way that says more of the machine than of the cell."""
        return self.facts.get(TRY_AGAIN) is True


@dataclass(frozen=True, slots=True)
class CellSentences:
    """Sentences to learn from and sentences to tag, and how they were chosen."""

    train: list[Example]
    test: list[Example]
    facts: dict[str, Any]
    dev: list[Example] = field(default_factory=list)
    """Empty unless the protocol chooses by it."""
    duplicates: tuple[int, ...] = ()
    """Places of test sentences that are in train too; none for an episode, which has no use for train."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a tagger said of each word of the sentences to tag, raw, and how it was made."""

    tags: list[list[str]]
    confidences: list[list[float]]
    facts: dict[str, Any]
