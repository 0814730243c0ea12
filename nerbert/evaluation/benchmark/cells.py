"""The records of a benchmark: what is to be run (`Job`, `SourceTraining`) and what came out (`Cell`, `Predictions`)."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nerbert.records import Example
from nerbert.training.settings import FinetuneSettings


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
class Machine:
    """What figures depend on of the machine."""

    device: str
    precision: Literal["bf16", "fp32"]
    """What `precision = "auto"` is on this device; no figure depends on it where a protocol names another."""


@dataclass(frozen=True, slots=True)
class SourceTraining:
    """A checkpoint to be made: an encoder trained on a source domain."""

    key: str
    data: str
    folder: Path
    encoder: str
    encoder_sha256: str
    settings: FinetuneSettings
    sha256: dict[str, str]
    """Of the data files that it reads, by name; "" for one that isn't there."""
    format: str = ""
    """Of the data files, if it was named."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to be run: its place, what it reads, and the keys of its steps."""

    place: CellKey
    tag_key: str
    key: str
    """The last step's: the cell's own."""
    folder: Path
    encoder: str
    encoder_sha256: str
    settings: FinetuneSettings
    sha256: dict[str, str]
    """As a source training's."""
    source: SourceTraining | None = None
    format: str = ""
    """Of the data files, if it was named."""


Task = Job | SourceTraining


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
