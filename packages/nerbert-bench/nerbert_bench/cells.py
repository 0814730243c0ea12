"""A benchmark's cells: place, sentences, system, predictions, outcome, and the file of each, `cells/KEY.json`.

A file holds the scores and their predictions, so that predictions can be scored again when the rules change. Taggers
aren't kept. Cost: cells that no suite uses any more stay until someone deletes them.
"""

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple, Protocol, Self

from nerbert.about import __version__
from nerbert.artifacts import publish
from nerbert.errors import OutputExists, refused
from nerbert.labels import spans_from_bio
from nerbert.metrics.calibration import UNSCALED, Scaling
from nerbert.model.heads import Entities, WordTags
from nerbert.records import Example
from nerbert.schema import json_line, read_json, to_plain

_LARGEST = 512 << 20
_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
CELLS, SOURCES = "cells", "sources"
"""Subfolders of a benchmark's folder that are kept: cell files, checkpoints of source domains."""
TRY_AGAIN = "try_again"
"""Fact of a failed cell that every run retries: the machine was the cause (process killed, disk full)."""


class CellKey(NamedTuple):
    """The coordinates of a cell: one training and its score."""

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


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with its outcome. Everything is JSON; figures are 0–1.

    `scores` of finished cells have the same keys; those of greedy tags are under `greedy`. `facts` say how it was made.
    """

    place: CellKey
    state: State
    why: str = ""
    """The reason why it failed or didn't run, in one line."""
    scores: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """Properties of the machine that figures depend on."""

    device: str
    precision: Literal["bf16", "fp32"]
    """The value of `precision = "auto"` on this device; unused if a protocol names another."""


@dataclass(frozen=True, slots=True)
class CellSentences:
    """Sentences to train on and sentences to tag, with facts about their selection."""

    train: list[Example]
    test: list[Example]
    """The sentences to score, of any split."""
    facts: dict[str, Any]
    dev: list[Example] = field(default_factory=list)
    """Sentences to fit confidences, and to choose the epoch if the protocol does so; empty if there are none,
    or if dev is scored."""
    duplicates: tuple[int, ...] = ()
    """Indices of test sentences that are also in train; empty for an episode, which doesn't use train."""
    name: str = ""
    """The data set's folder."""


FoundEntity = tuple[int, int, str, float | None]
"""First word, the word after the last, type, confidence (0–1, four decimals; None for a system without confidences)."""
FoundEntities = list[list[FoundEntity]]
"""The entities of each sentence, in order."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """A system's entities in the sentences to tag, as users get them, and facts about how they were made.

    `greedy` has each word's most probable tag, if the system predicts tags. `others` has further predictions by the
    name of their scores, e.g. of a zero-shot tagger at other thresholds. `sure`: True if the system gives confidences.
    """

    entities: FoundEntities
    facts: dict[str, Any]
    greedy: list[list[str]] | None = None
    others: Mapping[str, FoundEntities] = field(default_factory=dict)
    sure: bool = True


class System(Protocol):
    """Finds entities in a cell's test sentences; it may train on its training sentences first."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return all that its predictions depend on, except the data: a part of its cells' keys."""

    def read_digests(self) -> Self:
        """Return the system with the current digests of its files on this machine."""

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return the splits that it reads if `split` is scored; an episode is drawn only from that one."""

    def predict(self, part: CellSentences, sources: Path) -> Predictions:
        """Train on a part's sentences, if the system is trained, and return the predictions for its test sentences.

        `sources` is a folder for checkpoints that several cells start from. Facts are stored with the cell: `seconds`
        by step, `encoder` (a digest), `pretrained` (nerbert trained the encoder, so all cells that use it share its
        random variation), and all else that determined the predictions.
        """


@dataclass(frozen=True, slots=True)
class CellFile:
    """The content of a cell's file; `scored` is the key of its scores."""

    place: dict[str, str | int]
    scored: str
    state: Literal[State.DONE, State.FAILED]
    why: str
    scores: dict[str, Any]
    facts: dict[str, Any]
    predictions: Predictions | None

    @property
    def tagged(self) -> Predictions | None:
        """Return its predictions with their facts, to be scored again."""
        return self.predictions and replace(self.predictions, facts=self.facts)

    def cell(self, key: CellKey) -> Cell:
        """Return the cell for a key: several keys may share one file."""
        return Cell(key, self.state, self.why, self.scores, self.facts)


def cell_path(folder: Path, key: str) -> Path:
    """Return the path of a cell's file in a benchmark's folder."""
    return folder / CELLS / f"{key}.json"


def read_cell(path: Path) -> CellFile | None:
    """Return a cell's file, None if there is none; raise InputError for a damaged one."""
    # `lexists` sees a broken link, too: it is reported as damaged, not taken for a missing cell.
    return read_json(path, CellFile, limit=_LARGEST) if os.path.lexists(path) else None


def write_cell(path: Path, scored: str, cell: Cell, predictions: Predictions | None = None) -> None:
    """Write a cell that is done, with its predictions, or that failed."""
    state: Any = cell.state
    content = CellFile(
        cell.place._asdict(),
        scored,
        state,
        cell.why,
        cell.scores,
        cell.facts,
        predictions and replace(predictions, facts={}),
    )
    with publish(path) as draft:
        draft.write_text(json_line(to_plain(content)), encoding="utf-8")


def check_folder(folder: Path) -> None:
    """Raise OutputExists for a folder that holds something else, or results of an older version."""
    with refused(f"{folder}: can't be made or read", of=OSError):
        # Earlier versions kept predictions in files of their own, beside the cells.
        if (folder / "predictions").exists():
            why = "was made by an earlier version of nerbert, whose cells this one doesn't read"
            raise OutputExists(f"{folder}: {why}; name a new folder (-o)")
        # Hidden files, such as `.lock` and `.DS_Store`, don't make a folder someone else's.
        strange = [path.name for path in folder.iterdir() if path.name[0] != "."] if folder.exists() else []
        if strange and not (folder / CELLS).exists():
            why = f"holds {strange[0]!r} but no cells, so it is not a benchmark's folder"
            raise OutputExists(f"{folder}: {why}; name a new or an empty one (-o)")


def found_entities(entities: Entities, sentences: int, scaling: Scaling = UNSCALED) -> FoundEntities:
    """Return the entities of each sentence, in stored form; `sentences` is their number."""
    rows: FoundEntities = [[] for _ in range(sentences)]
    for number, start, end, type_, confidence in entities.spans(scaling):
        rows[number].append((start, end, type_, round(confidence, 4)))
    return rows


def tagged_entities(sentences: Iterable[WordTags]) -> FoundEntities:
    """Return the entities of tagged words, each with the mean confidence of its words."""
    return [
        [
            (start, end, type_, round(fmean(words.confidences[start:end]), 4))
            for start, end, type_ in spans_from_bio(words.tags)
        ]
        for words in sentences
    ]


def made_with_torch(device: str, precision: str) -> dict[str, Any]:
    """Return the device, the precision and the versions that a model was run with."""
    # A suite of commands alone needs no torch, and should not wait for its import.
    import torch

    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "precision": precision,
        "versions": {
            "nerbert": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
    }


@contextmanager
def time_step(cost: dict[str, Any], name: str) -> Iterator[None]:
    """Record a block's time in `cost`: wall-clock seconds, and CPU seconds (user and system) with child processes'."""
    wall = time.monotonic()
    # Wall-clock time depends on how many cells run at once; CPU time doesn't.
    cpu = _cpu()
    yield
    cost[name] = {"wall": round(time.monotonic() - wall, 3), "cpu": round(_cpu() - cpu, 3)}


def _cpu() -> float:
    # `process_time` alone would miss a command, which runs in a child process.
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
