"""The records of a benchmark: a cell's place, its sentences, what a system said of them, and what came out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from nerbert.model.heads import WordTags
from nerbert.records import Example


class CellKey(NamedTuple):
    """The place of a cell: one training and its score."""

    system: str
    target: str
    size: str
    draw: int
    seed: int
    protocol: str

    def __str__(self) -> str:
        protocol = f", {self.protocol}" if self.protocol != "default" else ""
        return f"{self.system}, {self.target}, {self.size}, draw {self.draw}, seed {self.seed}{protocol}"


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

    `scores` has the same keys in every cell that is done, of the tags that users get; those of greedy tags are under
    `greedy`. `facts` says how it was made.
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
class Machine:
    """What figures depend on of the machine."""

    device: str
    precision: Literal["bf16", "fp32"]
    """What `precision = "auto"` is on this device; no figure depends on it where a protocol names another."""


@dataclass(frozen=True, slots=True)
class CellSentences:
    """Sentences to learn from and sentences to tag, and how they were chosen."""

    train: list[Example]
    test: list[Example]
    """The sentences that are scored, of whatever split."""
    facts: dict[str, Any]
    dev: list[Example] = field(default_factory=list)
    """Sentences for the temperature, and for the choice of the epoch where the protocol chooses; empty where there are
    none, or where they are what is scored."""
    duplicates: tuple[int, ...] = ()
    """Places of test sentences that are in train too; none for an episode, which has no use for train."""
    name: str = ""
    """Of the data set: its folder."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a tagger said of each word of the sentences to tag, and how it was made.

    `tags` and `confidences` are what users get. `greedy` has each word's most probable tag; a head that makes no tags
    has one reading only, which stands in both. A system that is not nerbert says no confidences.
    `tuned` is what a zero-shot tagger says at the threshold that is best on dev.
    """

    tags: list[list[str]]
    confidences: list[list[float]] | None
    greedy: list[list[str]]
    facts: dict[str, Any]
    tuned: list[list[str]] | None = None

    @classmethod
    def of(
        cls, words: Sequence[WordTags], facts: dict[str, Any], *, greedy: list[list[str]] | None = None,
        tuned: list[list[str]] | None = None,
    ) -> "Predictions":  # fmt: skip
        """Return what is kept of a tagger's words: four decimals of a confidence."""
        tags = [each.tags for each in words]
        sure = [[round(one, 4) for one in each.confidences] for each in words]
        return cls(tags, sure, tags if greedy is None else greedy, facts, tuned)
