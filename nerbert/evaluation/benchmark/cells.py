"""The records of a benchmark: a cell's place, its sentences, its predictions, and its outcome."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any, Literal, NamedTuple

from nerbert.labels import spans_from_bio
from nerbert.metrics.calibration import Temperatures
from nerbert.model.heads import Entities, WordTags
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
"""The fact of a failed cell that every run retries: the machine was the cause (it was killed, the disk was full)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with its outcome. Everything is JSON; figures are 0–1.

    `scores` has the same keys in every finished cell, for the tags that users get; those of greedy tags are under
    `greedy`. `facts` describes how it was made.
    """

    place: CellKey
    state: State
    why: str = ""
    """Why it failed or didn't run, in one line."""
    scores: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def try_again(self) -> bool:
        """Whether it failed because of the machine, not the cell."""
        return self.facts.get(TRY_AGAIN) is True


@dataclass(frozen=True, slots=True)
class Machine:
    """Properties of the machine that figures depend on."""

    device: str
    precision: Literal["bf16", "fp32"]
    """The value of `precision = "auto"` on this device; unused if a protocol names another."""


@dataclass(frozen=True, slots=True)
class CellSentences:
    """Sentences to train on and sentences to tag, and how they were chosen."""

    train: list[Example]
    test: list[Example]
    """The sentences to score, of any split."""
    facts: dict[str, Any]
    dev: list[Example] = field(default_factory=list)
    """Sentences for the temperature, and for the choice of the epoch if the protocol chooses; empty if there are none,
    or if dev is scored."""
    duplicates: tuple[int, ...] = ()
    """Places of test sentences that are in train too; none for an episode, which doesn't use train."""
    name: str = ""
    """The data set's folder."""


FoundEntity = tuple[int, int, str, float | None]
"""First word, the word after the last, type, confidence (0–1, four decimals; None for a system without confidences)."""
FoundEntities = list[list[FoundEntity]]
"""The entities of each sentence, in order."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a system found in the sentences to tag, as users get it, and how that was made.

    `greedy` has each word's most probable tag; a system that makes no tags has one reading only. `others` are
    further readings by the name of their scores: what a zero-shot tagger says at other thresholds. `sure`: whether the
    system says confidences.
    """

    entities: FoundEntities
    facts: dict[str, Any]
    greedy: list[list[str]] | None = None
    others: Mapping[str, FoundEntities] = field(default_factory=dict)
    sure: bool = True


def found_entities(
    found: Entities, sentences: int, temperature: float | Temperatures = 1.0
) -> FoundEntities:  # fmt: skip
    """Return the entities of each of so many sentences, in stored form."""
    kept: FoundEntities = [[] for _ in range(sentences)]
    for number, start, end, type_, confidence in found.spans(temperature):
        kept[number].append((start, end, type_, round(confidence, 4)))
    return kept


def tagged_entities(words: Iterable[WordTags]) -> FoundEntities:
    """Return the entities of tagged words, each with the mean confidence of its words."""
    return [
        [(start, end, type_, round(fmean(each.confidences[start:end]), 4))
         for start, end, type_ in spans_from_bio(each.tags)] for each in words
    ]  # fmt: skip
