"""The log of a training: kept with its checkpoints, and written step by step.

`log.jsonl` has a line a step and a line an evaluation. A run that resumes from a checkpoint first removes later lines,
so no step is logged twice. TensorBoard's files have the same figures, with the extra `nerbert[tensorboard]`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from nerbert.artifacts import publish, unwritable
from nerbert.errors import need
from nerbert.training.objective import CheckpointScore


@dataclass(slots=True)
class TrainLog:
    """The mean loss since the last entry, with evaluations; and progress: steps, pieces, seconds.

    `loss_sum` and `loss_steps` are of the steps since the last entry. `best` is the best checkpoint's score so far.
    `begun` counts epochs; `columns` is the digest of the last one's columns, if any.
    """

    entries: list[dict[str, int | float]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best: CheckpointScore | None = None
    best_step: int = 0
    begun: int = 0
    columns: str = ""

    def add_step(self, loss: float, tokens: int, seconds: float) -> None:
        """Count a step; `seconds` are those of the whole training until now."""
        self.steps, self.tokens, self.seconds = self.steps + 1, self.tokens + tokens, max(seconds, 1e-9)
        self.loss_sum, self.loss_steps = self.loss_sum + loss, self.loss_steps + 1

    def add_entry(self, epoch: float) -> dict[str, int | float]:
        """Add an entry with the mean loss since the last one, and return it."""
        mean = self.loss_sum / max(1, self.loss_steps)
        self.entries.append({"step": self.steps, "epoch": epoch, "loss": mean})
        self.loss_sum, self.loss_steps = 0.0, 0
        return self.entries[-1]


class StepLog:
    """Writes figures of steps and evaluations to a JSONL file, and to TensorBoard if a folder is given."""

    def __init__(self, path: Path, tensorboard: str = "") -> None:
        self._path, self._folder = path, tensorboard
        self._file: TextIO | None = None
        self._board: Any = None
        if tensorboard:
            need("tensorboard", "tensorboard")

    def begin(self, steps: int) -> None:
        """Open the log after `steps` steps; the lines of later ones are removed."""
        kept = "".join(_lines_until(self._path, steps))
        with publish(self._path) as draft:
            draft.write_text(kept, encoding="utf-8")
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        if self._folder:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(self._folder, purge_step=steps + 1)

    def write(self, kind: str, figures: Mapping[str, float]) -> None:
        """Write a line: `figures` has `step`; `kind` is `train`, `validation` or `epoch`."""
        if self._file is not None:
            try:
                self._file.write(json.dumps({"kind": kind, **figures}) + "\n")
            except OSError as error:
                raise unwritable(self._path, error) from error
        if self._board is not None:
            step = int(figures["step"])
            for name in figures.keys() - {"step"}:
                self._board.add_scalar(f"{kind}/{name}", figures[name], step)

    def close(self) -> None:
        """Close the files; errors of writing were raised before."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        if self._board is not None:
            self._board.close()


def _lines_until(path: Path, steps: int) -> Iterator[str]:
    """Yield the lines of a log up to a step; it ends at a torn line."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                later = float(json.loads(line)["step"]) > steps
            except (ValueError, KeyError, TypeError):
                return
            if later or not line.endswith("\n"):
                return
            yield line
