"""The one training loop: short, visible, on Accelerate; it knows no task.

Losses are sums over a step, divided once, so micro-batches change no gradient. Randomness comes from seed, step and
rank.
"""

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import chain, pairwise
from signal import SIGINT, SIGTERM
from typing import Any

import numpy as np
import torch

from nerbert.errors import NerbertError
from nerbert.model.packing import packing
from nerbert.process import stop_asked
from nerbert.rng import Array
from nerbert.terminal import Progress, tell
from nerbert.training.batches import TrainingData
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, StepLog, TrainLog, digest_of
from nerbert.training.distributed import ProcessGroup, explain_out_of_memory, make_process_group
from nerbert.training.objective import Columns, EpochColumns, Objective
from nerbert.training.settings import Schedule, TrainSettings
from nerbert.training.step import Figures, PreparedStep, launch_step, prepare_step

VERSION = 3
"""Raise it when the same settings train differently: unfinished runs then don't resume."""


@explain_out_of_memory()
def train(
    model: Any, data: TrainingData, objective: Objective, settings: TrainSettings, bar: Progress, *,
    evaluate: BestCheckpoint | None = None, checkpoints: Checkpoints | None = None, steps: StepLog | None = None,
    processes: ProcessGroup | None = None, evaluation_steps: int = 0,
) -> TrainLog:  # fmt: skip
    """Train `model` in place and return the log.

    With `checkpoints`, start from the newest of them; a signal then stops the training after it has made one. Where
    `evaluate` is out of patience, the training ends at that evaluation, the last entry of the log.

    The number of steps follows the first epoch's windows. There are about `settings.epochs` log entries, and
    evaluations, even where `min_steps` repeats few windows more often than that; or one after each `evaluation_steps`,
    and a last one.
    """
    processes = processes or make_process_group(settings)
    first = len(data.numbers_of(0))
    per_epoch, total = math.ceil(first / settings.batch_size), total_steps(first, settings)
    every = evaluation_every(first, settings, evaluation_steps)
    model.to(processes.device)
    optimizer = make_optimizer(model, settings, processes.device.type, objective)
    log = checkpoints.resume(model, optimizer) if checkpoints else TrainLog()
    _check_together(processes, log.steps)
    bar.advance(log.steps, before=True)
    if evaluate:
        evaluate.best, evaluate.best_step = log.best, log.best_step
    epochs = Epochs(data, objective, processes, log, checkpoints.taken_columns() if checkpoints else {})
    record = Record(log, settings, bar, total, *((checkpoints, steps) if processes.is_first else (None, None)))
    late = settings.overlap and processes.count == 1 and bool(optimizer.defaults.get("fused"))

    def begin_epoch(epoch: int) -> None:
        if epoch >= log.begun:
            record.read()
            record.epoch(epochs.begin(model, epoch))

    def prepare(number: int, numbers: Array) -> PreparedStep:
        return prepare_step(epochs.data, numbers, objective, settings, processes, number)

    finished = evaluate is not None and evaluate.is_out_of_patience(log)
    left = iter(()) if finished else data.steps(settings, log.steps, total)
    model.train()
    signals = stop_asked() if checkpoints else nullcontext(lambda: 0)
    with record, explain_out_of_memory(), _packed(model, settings), signals as asked:
        for epoch, step in _in_order(left, begin_epoch, prepare, log.steps + 1, ahead=settings.overlap):
            rate = settings.learning_rate * rate_at(step.number - 1, total, settings.warmup_ratio, settings.schedule)
            rate *= objective.rate_factor(epoch)
            record.add(step, launch_step(model, step, objective, optimizer, rate, settings, processes, late=late))
            scored = step.number % every == 0 or step.number == total
            record.read(but=late and not scored)
            if scored:
                record.entry(_scored(evaluate, model, log, log.steps / per_epoch))
            due, stop = processes.totals(record.is_due(step.number), asked())
            if scored or due or stop:
                record.read()
                record.save(model, optimizer, epochs.columns, tells=not scored)
            if stop:
                ended: BaseException = KeyboardInterrupt() if asked() == SIGINT else SystemExit(128 + SIGTERM)
                ended.add_note(f"step {log.steps} is kept")
                raise ended
            if evaluate and evaluate.is_out_of_patience(log):
                break
    return log


@contextmanager
def _packed(model: Any, settings: TrainSettings) -> Iterator[None]:
    """Let a model's passes be packed, if the settings say so."""
    with packing(model) if settings.packing else nullcontext(True) as packs:
        if not packs:
            kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
            tell(f"packing: the windows of a {kind} stay padded: a trial gave other states without")
        yield


_NONE: tuple[int, Array] = (-1, np.empty(0, np.int64))
"""After the last step."""


class Record:
    """Reads steps' figures, now or late, and writes log and checkpoints, where they are given: in the first process."""

    def __init__(
        self, log: TrainLog, settings: TrainSettings, bar: Progress, total: int, checkpoints: Checkpoints | None,
        steps: StepLog | None,
    ) -> None:  # fmt: skip
        self._log, self._settings, self._bar, self._total = log, settings, bar, total
        self._checkpoints, self._steps = checkpoints, steps
        self._unread = deque[tuple[PreparedStep, Callable[[], Figures]]]()
        self._begin, self._warned = time.monotonic() - log.seconds, False

    def __enter__(self) -> None:
        if self._steps:
            self._steps.begin(self._log.steps)
            if self._log.steps:
                tell(f"resuming after step {self._log.steps} of {self._total}")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._steps:
            self._steps.close()
        newest = self._checkpoints.newest() if self._checkpoints else None
        if newest and isinstance(error, NerbertError):
            error.args = (f"{error}; the last good checkpoint is {newest}",)

    def epoch(self, begun: EpochColumns | None) -> None:
        """Log an objective's figures for a new epoch, under the first of its steps: a resumed run writes them once."""
        if self._steps and begun and begun.figures:
            place = {"step": self._log.steps + 1, "epoch": self._log.begun - 1}
            self._steps.write("epoch", place | dict(begun.figures))

    def add(self, step: PreparedStep, read: Callable[[], Figures]) -> None:
        """Add a step that was launched; `read` returns its figures."""
        self._unread.append((step, read))

    def read(self, but: int = 0) -> None:
        """Log all steps but the last `but` ones."""
        while len(self._unread) > but:
            step, read = self._unread.popleft()
            figures, log = read(), self._log
            log.add_step(figures["loss"], step.tokens, time.monotonic() - self._begin)
            if self._steps:
                so_far = {"tokens": log.tokens, "seconds": round(log.seconds, 3)}
                self._steps.write("train", {"step": log.steps, **figures, **so_far})
            if (most := figures.get("max_tokens_per_batch")) and not self._warned:
                self._warned, given = True, self._settings.max_tokens_per_batch
                tell(f"memory ran out with max_tokens_per_batch = {given}: step cut to {most}, and so are later ones "
                     f"where it runs out; max_tokens_per_batch={most} saves the failed attempts")  # fmt: skip
            self._bar.advance(note=f"loss {figures['loss']:.3f}, {log.tokens / log.seconds:,.0f} tokens/s")

    def entry(self, entry: Mapping[str, float]) -> None:
        """Log an evaluation."""
        if self._steps:
            self._steps.write("validation", entry)
            figures = (f"{name} {value:.4f}" for name, value in entry.items() if name not in ("step", "epoch"))
            self._tell(", ".join(figures))

    def _tell(self, what: str) -> None:
        """Print one line with the speed and the time left, where no progress bar is shown."""
        if not sys.stderr.isatty():
            log = self._log
            left = timedelta(seconds=round((self._total - log.steps) * log.seconds / log.steps))
            tell(f"step {log.steps} of {self._total}: {what}; {log.tokens / log.seconds:,.0f} tokens/s, {left} left")

    def is_due(self, step: int) -> bool:
        """Return whether to save after this step."""
        return bool(self._checkpoints and self._checkpoints.is_due(step))

    def save(self, model: Any, optimizer: torch.optim.Optimizer, columns: Columns, *, tells: bool) -> None:
        """Make a checkpoint, and print a line if it `tells`."""
        if self._checkpoints:
            self._checkpoints.save(model, optimizer, self._log, columns)
            if tells and self._steps:
                self._tell("kept")


def _in_order(
    steps: Iterator[tuple[int, Array]], begin: Callable[[int], None], prepare: Callable[[int, Array], PreparedStep],
    first: int, *, ahead: bool,
) -> Iterator[tuple[int, PreparedStep]]:  # fmt: skip
    """Yield the epoch and the prepared windows of each step, numbered from `first`, after its epoch has begun.

    If `ahead`, a thread prepares the next step of the same epoch meanwhile.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[PreparedStep] | None = None
        for number, ((epoch, numbers), following) in enumerate(pairwise(chain(steps, [_NONE])), first):
            begin(epoch)
            step = waiting.result() if waiting else prepare(number, numbers)
            same = ahead and following[0] == epoch
            waiting = pool.submit(prepare, number + 1, following[1]) if same else None
            yield epoch, step


def _check_together(processes: ProcessGroup, step: int) -> None:
    """Raise NerbertError unless all processes resume from the same step."""
    if processes.totals(step, step * step) != [processes.count * step, processes.count * step * step]:
        raise NerbertError(
            f"process {processes.rank} resumes after step {step}, another one after a different step: "
            "all must see the output's folder"
        )


def total_steps(windows: int, settings: TrainSettings) -> int:
    """Return how many steps `train` will take, unless it ends early."""
    steps = max(1, settings.min_steps, round(settings.epochs * math.ceil(windows / settings.batch_size)))
    return min(steps, settings.max_steps) if settings.max_steps else steps


def evaluation_every(windows: int, settings: TrainSettings, steps: int = 0) -> int:
    """Return after how many steps `train` adds an entry to its log, and evaluates: `steps`, or (0) once an epoch."""
    return steps or max(math.ceil(windows / settings.batch_size), int(total_steps(windows, settings) / settings.epochs))


def rate_at(step: int, total: int, warmup_ratio: float, schedule: Schedule = "linear") -> float:
    """Return the learning rate's share of its highest: up in a straight line, then as the schedule says."""
    warmup = round(total * warmup_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else (1 - math.cos(math.pi * left)) / 2


def make_optimizer(
    model: Any, settings: TrainSettings, device: str, objective: Objective | None = None
) -> torch.optim.Optimizer:
    """Return the objective's own optimizer, or AdamW over what isn't frozen; vectors (biases, norms) have no decay.

    Layers that the `objective` calls new are groups with a rate of their own, if the settings have one.
    """
    if objective and (its_own := objective.optimizer(model, settings)):
        return its_own
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    own = settings.new_layers_learning_rate
    apart = {id(each) for each in objective.new_parameters(model)} if own and objective else set[int]()
    groups = _groups([each for each in trained if id(each) not in apart], settings)
    if apart:
        further = _groups([each for each in trained if id(each) in apart], settings)
        groups += [each | {"lr": own, "share": own / settings.learning_rate} for each in further]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=device in ("cpu", "cuda"))


def _groups(parameters: Sequence[torch.nn.Parameter], settings: TrainSettings) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _scored(evaluate: BestCheckpoint | None, model: Any, log: TrainLog, epoch: float) -> dict[str, float]:
    entry = log.add_entry(epoch)
    if evaluate:
        model.eval()
        entry |= evaluate(model, log.steps) | entry
        log.best, log.best_step = evaluate.best, evaluate.best_step
        model.train()
    return entry


class Epochs:
    """The data of the epoch that was begun last, and its `columns`; `columns` are at first those of a checkpoint.

    A column is an array that the model computes: a new label for each word, say. All processes make it together, once.
    Checkpoints have it until the next is made, so a killed run equals one that never stopped.
    """

    def __init__(
        self, data: TrainingData, objective: Objective, processes: ProcessGroup, log: TrainLog, columns: Columns
    ) -> None:
        self._own, self._objective, self._processes, self._log = data, objective, processes, log
        self._use(columns)

    def begin(self, model: Any, epoch: int) -> EpochColumns | None:
        """Let the objective begin an epoch, return its figures; raise NerbertError where processes' columns differ."""
        model.eval()
        with torch.no_grad():
            begun = self._objective.begin_epoch(model, self._own, epoch, self.columns, self._processes)
        model.train()
        if begun is not None:
            if strange := next((name for name in begun.columns if not name.isidentifier()), None):
                raise NerbertError(f"epoch {epoch}: a column is called {strange!r:.80}: it must be a Python name")
            self._use(begun.columns)
            self._log.columns = digest_of(begun.columns)
        if len(set(self._processes.gather([self._log.columns]))) > 1:
            raise NerbertError(f"epoch {epoch}: the processes computed different columns: the objective must give all "
                               "of them the same")  # fmt: skip
        self._log.begun = epoch + 1
        return begun

    def _use(self, columns: Columns) -> None:
        self.columns = columns
        windows = self._objective.use_columns(self._own.windows, columns) if columns else self._own.windows
        self.data = replace(self._own, windows=windows)
