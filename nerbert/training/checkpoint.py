"""Checkpoints to resume interrupted training from, the best checkpoint by score, and the training log.

A folder is complete or absent, without random state. Cost: training waits while three times the weights are written.

`log.jsonl` has one line per step and one per evaluation. A run that resumes from a checkpoint first removes later
lines, so each step is logged once. TensorBoard's files have the same figures, with the extra `nerbert[tensorboard]`.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from nerbert.artifacts import publish, publish_folder, unwritable, write_json
from nerbert.errors import InputError, need, refused
from nerbert.model.windows import copied_to_file
from nerbert.rng import Array
from nerbert.schema import read_json
from nerbert.terminal import tell
from nerbert.training.objective import CheckpointScore, Columns

_WEIGHTS, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_COLUMN = "column-{}.npy"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(slots=True)
class TrainLog:
    """Log entries (mean loss since the last entry, and evaluations) and progress: steps, tokens, seconds.

    `loss_sum` and `loss_steps` cover the steps since the last entry. `best` is the best checkpoint's score so far.
    `begun` counts the epochs begun; `columns` is the digest of the last one's columns, if any.
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
        """Count a step; `seconds` is the total training time so far."""
        self.steps = self.steps + 1
        self.tokens = self.tokens + tokens
        self.seconds = max(seconds, 1e-9)
        self.loss_sum = self.loss_sum + loss
        self.loss_steps = self.loss_steps + 1

    def add_entry(self, epoch: float) -> dict[str, int | float]:
        """Add an entry with the mean loss since the last one, and return it."""
        mean = self.loss_sum / max(1, self.loss_steps)
        self.entries.append({"step": self.steps, "epoch": epoch, "loss": mean})
        self.loss_sum, self.loss_steps = 0.0, 0
        return self.entries[-1]


@dataclass(frozen=True, slots=True)
class _State:
    """The content of `state.json`."""

    format: Literal[3]
    log: TrainLog


class BestCheckpoint:
    """Scores the model for each log entry; records the score and step of the best model so far in the log.

    `save(model, step, before)` stores a model as the best so far; `before` is the step of the previous best one.
    Training should end after `patience` evaluations in a row without improvement (0: never). With `last`, each model
    counts as better than the one before.
    """

    def __init__(
        self,
        score: Callable[[Any], CheckpointScore],
        save: Callable[[Any, int, int], None],
        patience: int = 0,
        *,
        last: bool = False,
    ) -> None:
        self._score, self._save, self._patience, self._last = score, save, patience, last

    def __call__(self, model: Any, log: TrainLog) -> dict[str, int | float]:
        """Return the model's figures at this step."""
        score = self._score(model)
        # The model is stored before the log names it: a run that is killed between keeps the old best one.
        if self._last or score.beats(log.best):
            self._save(model, log.steps, log.best_step)
            log.best, log.best_step = score, log.steps
        return score.figures

    def is_out_of_patience(self, log: TrainLog) -> bool:
        """Return whether training should end: the log has enough evaluations after the best one."""
        return bool(self._patience) and sum(entry["step"] > log.best_step for entry in log.entries) >= self._patience


class Checkpoints:
    """The newest `keep` checkpoints of one training run, stored in `folder`.

    One is due every `steps` steps and every `minutes` minutes (0: never). With a `tokenizer`, each is a model folder.
    """

    def __init__(self, folder: Path, keep: int, *, minutes: float = 0, steps: int = 0, tokenizer: Any = None) -> None:
        self._folder = folder
        self._keep = keep
        self._seconds = 60 * minutes
        self._steps = steps
        self._tokenizer = tokenizer
        self._last = time.monotonic()
        self._unreadable: set[Path] = set()

    def is_due(self, step: int) -> bool:
        """Return whether to save after this step."""
        by_time = bool(self._seconds) and time.monotonic() - self._last >= self._seconds
        return by_time or (bool(self._steps) and step % self._steps == 0)

    def save(self, model: Any, optimizer: torch.optim.Optimizer, log: TrainLog, columns: Columns | None = None) -> None:
        """Save the training state; delete older checkpoints once the new one is complete."""
        target = self._folder / _name(log.steps)
        self._unreadable.discard(target)
        # A damaged checkpoint of this step may lie there; publishing doesn't replace a folder.
        if target.exists():
            shutil.rmtree(target)
        with publish_folder(target) as folder:
            if self._tokenizer is not None:
                model.config.save_pretrained(folder)
                self._tokenizer.save_pretrained(folder)
            _write(folder / _WEIGHTS, _weights(model))
            _write(folder / _OPTIMIZER, _moments(model, optimizer))
            for name, column in (columns or {}).items():
                with publish(folder / _COLUMN.format(name)) as draft, draft.open("wb") as stream:
                    np.lib.format.write_array_header_2_0(stream, np.lib.format.header_data_from_array_1_0(column))
                    # `np.save` can lose the end on a full disk.
                    stream.write(np.ascontiguousarray(column).data)
            # Last: a checkpoint without its state isn't one.
            write_json(folder / _STATE, asdict(_State(3, log)))
        # Only now, when the new one is complete. A damaged one that can't be deleted is no
        # error: it is never read.
        for old in [*self._unreadable, *self._readable()[: -self._keep]]:
            shutil.rmtree(old, ignore_errors=old in self._unreadable)
        self._unreadable.clear()
        self._last = time.monotonic()

    def resume(self, model: Any, optimizer: torch.optim.Optimizer) -> tuple[TrainLog, Columns]:
        """Load model and optimiser from the newest readable checkpoint; return its log and columns, empty if none."""
        # A checkpoint that a full disk or a crash damaged costs only the steps since the one before.
        for folder in reversed(self._readable()):
            try:
                return _load(folder, model, optimizer)
            except InputError as error:
                tell(f"nerbert: {error}; resuming from the checkpoint before it, or from the start")
                self._unreadable.add(folder)
        return TrainLog(), {}

    def newest(self) -> Path | None:
        """Return the folder of the newest readable checkpoint."""
        return next(reversed(self._readable()), None)

    def _readable(self) -> list[Path]:
        # Step numbers have leading zeros, so names sort by step.
        folders = sorted(path for path in self._folder.glob("step-*") if (path / _STATE).is_file())
        return [path for path in folders if path not in self._unreadable]


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    with publish(path) as draft:
        save_file(tensors, draft, metadata={"format": "pt"})


def _weights(model: Any) -> dict[str, torch.Tensor]:
    """Return all tensors that training may change, each once (tied ones under their first name)."""
    kept = model.state_dict().keys()
    # Buffers that the model itself doesn't save (a table of positions) follow from its configuration.
    tensors = dict(model.named_parameters()) | {name: buffer for name, buffer in model.named_buffers() if name in kept}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _moments(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{moment}": optimizer.state[parameter][moment].detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        for moment in _MOMENTS
        if parameter in optimizer.state
    }


def _load(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> tuple[TrainLog, Columns]:
    """Read a whole checkpoint before changing anything; no tensor stays memory-mapped."""
    log = read_json(folder / _STATE, _State).log
    # A folder that was renamed or copied would make later checkpoints disagree with their names.
    if folder.name != _name(log.steps):
        raise InputError(f"{folder / _STATE}: of step {log.steps}, not of the folder's")
    # All files are read and checked before the first tensor changes: a damaged one must not
    # leave a mixture.
    expected = _weights(model)
    weights = _read(folder / _WEIGHTS)
    moments = _read(folder / _OPTIMIZER)
    columns = _read_columns(folder, log.columns)
    _check(folder / _WEIGHTS, weights, expected)
    named = {name: parameter for name, parameter in model.named_parameters() if f"{name}.step" in moments}
    shapes = {f"{name}.{moment}": parameter for name, parameter in named.items() for moment in _MOMENTS[:2]}
    _check(folder / _OPTIMIZER, {key: tensor for key, tensor in moments.items() if not key.endswith(".step")}, shapes)
    model.load_state_dict(weights, strict=False)
    for name, parameter in named.items():
        for moment in _MOMENTS:
            # Where AdamW itself keeps its step counter: beside the parameter on CUDA, else on the CPU.
            home = "cpu" if moment == "step" and parameter.device.type != "cuda" else parameter.device
            optimizer.state[parameter][moment] = moments[f"{name}.{moment}"].to(home, copy=True)
    return log, columns


def _read_columns(folder: Path, digest: str) -> Columns:
    """Return copies of a checkpoint's columns; raise InputError unless they have this digest."""
    if not digest:
        return {}
    columns = dict[str, Array]()
    for path in sorted(folder.glob(_COLUMN.format("*"))):
        with refused(f"{path}: can't be read"):
            columns[path.stem.removeprefix("column-")] = np.lib.format.open_memmap(path, mode="r")
    with refused(f"{folder}: its columns can't be read"):
        differs = digest_of(columns) != digest
    if differs:
        raise InputError(f"{folder}: its columns aren't those that the checkpoint was made with")
    return {name: copied_to_file(column) for name, column in columns.items()}


def digest_of(columns: Columns) -> str:
    """Return the SHA-256 of columns: names, types, shapes and values; "" if there are none."""
    if not columns:
        return ""
    digest = sha256()
    for name, column in sorted(columns.items()):
        digest.update(f"{name} {column.dtype.str} {column.shape}\n".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, torch.Tensor]:
    with refused(f"{path}: can't be read"):
        return load_file(path)  # type: ignore[no-any-return]


def _check(path: Path, read: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError unless the tensors have the expected names and shapes."""
    other = read.keys() ^ expected.keys()
    other |= {name for name in read.keys() & expected.keys() if read[name].shape != expected[name].shape}
    if other:
        raise InputError(f"{path}: {len(other)} tensors are missing or of another shape, say {min(other)}")


class StepLog:
    """Writes figures of steps and evaluations to a JSONL file, and to TensorBoard if a folder is given."""

    def __init__(self, path: Path, tensorboard: str = "") -> None:
        self._path, self._folder = path, tensorboard
        self._file: TextIO | None = None
        self._board: Any = None
        if tensorboard:
            need("tensorboard", "tensorboard")

    def begin(self, steps: int) -> None:
        """Open the log to continue after `steps` steps; remove the lines of later steps."""
        # A resumed run trains later steps again, so each is logged once.
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
        """Close the files, without errors: those of writing were raised before."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        if self._board is not None:
            self._board.close()


def _lines_until(path: Path, steps: int) -> Iterator[str]:
    """Yield the lines of a log up to a step, or up to an incomplete line."""
    # A run that was killed may have left half a line: the log ends before it.
    torn = (ValueError, KeyError, TypeError)
    with suppress(FileNotFoundError, *torn), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if float(json.loads(line)["step"]) > steps or not line.endswith("\n"):
                return
            yield line
