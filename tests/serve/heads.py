"""A head for servers under test: it finds its labels' names, and waits or fails as a text tells it.

A process is started with `--head tests.serve.heads:ToldKind` on a folder that `tagger_folder` makes. What test and
model tell each other goes through files in that folder, so that it is the same in one process and in two.
"""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import ClassVar

from nerbert.errors import SettingsError
from nerbert.model.folder import ModelFolder
from nerbert.model.head_kinds import HeadKind, HeadOptions
from nerbert.model.heads import Entities
from nerbert.records import EntityLabel, Example
from tests.tagger.test_labels import NamesHead

DEADLINE = 180.0
"""Seconds after which a test gives up: most need a hundredth of one, a busy machine starts a process in many."""
FAULTS: dict[str, Exception] = {
    "brokenmodel": RuntimeError("no kernel\nfor this device"),
    "brokencode": ZeroDivisionError("division by zero"),
}
"""Words in a text that make the model fail, and how."""


def until(true: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until something is true; fail after the deadline."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.005)


class Gate:
    """Holds the model at texts with the word `hold`, while it is closed, and keeps what it read."""

    def __init__(self, folder: Path) -> None:
        self._closed, self._held, self._read = folder / "closed", folder / "held", folder / "read.jsonl"

    def close(self) -> None:
        """Let the model wait from now on."""
        self._held.mkdir(exist_ok=True)
        self._closed.touch()

    def open(self) -> None:
        """Let the model go on."""
        self._closed.unlink(missing_ok=True)

    def held(self, count: int = 1) -> None:
        """Wait until so many batches are held."""
        until(lambda: self.holding() >= count, f"{count} batches in the model")

    def holding(self) -> int:
        """Return how many batches wait in the model."""
        return len(list(self._held.iterdir()))

    def read(self) -> list[str]:
        """Return the sentences that the model was given, in order."""
        return [json.loads(line) for line in self._read.read_text().splitlines()] if self._read.exists() else []

    def go_through(self, texts: Sequence[str]) -> None:
        """Note what the model reads, and wait; the model calls it."""
        with self._read.open("a") as stream:
            stream.write("".join(f"{json.dumps(each)}\n" for each in texts))
        if any("hold" in each.split() for each in texts) and self._closed.exists():
            mine = self._held / uuid.uuid4().hex
            mine.touch()
            until(lambda: not self._closed.exists(), "the gate opens")
            mine.unlink()


class ToldHead(NamesHead):
    """Finds the names of its labels, 60 % sure of those in lower case and 90 % of others; see `Gate`, `FAULTS`.

    Nested, it finds the whole sentence too, as `whole`.
    """

    gate: Gate
    decoding = "flat"

    @classmethod
    def at(cls, gate: Gate, labels: Sequence[EntityLabel] = (), thresholds: Sequence[float] = ()) -> "ToldHead":
        head = cls(labels, thresholds)
        head.gate = gate
        return head

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "ToldHead":
        found = self.at(self.gate, labels, thresholds)
        found.decoding = self.decoding
        return found

    def decode_by(self, decoding: str) -> "ToldHead":
        if decoding not in ("flat", "nested"):
            raise SettingsError(f"setting decoding = {decoding!r:.40}: must be flat or nested", setting="decoding")
        found = copy(self)
        found.decoding = decoding
        return found

    def cost(self, examples: Sequence[Example], labels: Sequence[EntityLabel] = ()) -> int:
        if any("brokencost" in each.name for each in labels):
            raise ZeroDivisionError("division by zero")
        return super().cost(examples, labels)

    def predict(self, examples: Sequence[Example]) -> Entities:
        texts = [each.text for each in examples]
        self.gate.go_through(texts)
        for word, fault in FAULTS.items():
            if any(word in each for each in texts):
                raise fault
        found = super().predict(examples)
        if self.decoding == "flat" or "whole" not in self.least:
            return found
        rows = [
            [((0, len(each.words), "whole"), 9.0), *(((first, last, type_), 0.5) for first, last, type_ in spans)]
            for each, spans in zip(examples, found.word_spans(len(examples)), strict=True)
        ]
        return Entities.of(rows, nested=True)


class ToldKind(HeadKind):
    """The head, for `--head`."""

    labels_at_run_time: ClassVar[bool] = True

    @classmethod
    def open(cls, folder: ModelFolder, options: HeadOptions) -> ToldHead:
        return ToldHead.at(Gate(folder.path))


def tagger_folder(folder: Path) -> Path:
    """Make a folder that `ToldKind` opens, of so little that it has a fingerprint."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"none")
    return folder
