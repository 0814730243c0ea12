"""A training run: its inputs and its state."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import torch

from nerbert.errors import NerbertError
from nerbert.model.windows import Windows
from nerbert.rng import Array
from nerbert.terminal import Progress
from nerbert.training.batches import TrainingData
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, StepLog, TrainLog, digest_of
from nerbert.training.distributed import ProcessGroup, explain_out_of_memory
from nerbert.training.objective import Columns, EpochColumns, EpochHooks, Objective, StepHooks
from nerbert.training.settings import Schedule, TrainSettings


@dataclass(slots=True)
class Run:
    """A training run of `model`, which is moved to its device; `windows` are those of the epoch begun last.

    Columns are arrays that the model computes for an epoch, such as a new label for each word. All processes compute
    them together, once. Checkpoints keep them until the next ones, so a resumed run equals an uninterrupted one.
    """

    model: Any
    data: TrainingData
    objective: Objective
    settings: TrainSettings
    processes: ProcessGroup
    bar: Progress = field(default_factory=Progress)
    evaluate: BestCheckpoint | None = None
    """Scores the model at each log entry. Training ends when it is out of patience."""
    checkpoints: Checkpoints | None = None
    steps: StepLog | None = None
    evaluation_steps: int = 0
    """Steps between log entries; 0: about `settings.epochs` entries, even if `min_steps` repeats the windows more
    often than that."""
    log: TrainLog = field(init=False, default_factory=TrainLog)
    optimizer: torch.optim.Optimizer = field(init=False)
    epoch_hooks: EpochHooks = field(init=False)
    step_hooks: StepHooks = field(init=False)
    columns: Columns = field(init=False)
    windows: Windows = field(init=False)
    per_epoch: int = field(init=False)
    total: int = field(init=False)
    every: int = field(init=False)

    @explain_out_of_memory()
    def __post_init__(self) -> None:
        objective = self.objective
        first = len(self.data.numbers_of(0))
        self.epoch_hooks = objective if isinstance(objective, EpochHooks) else EpochHooks()
        self.step_hooks = objective if isinstance(objective, StepHooks) else StepHooks()
        self.per_epoch, self.total = math.ceil(first / self.settings.batch_size), total_steps(first, self.settings)
        # `min_steps` may repeat a small set hundreds of times; there are about `epochs`
        # entries all the same.
        self.every = self.evaluation_steps or max(self.per_epoch, int(self.total / self.settings.epochs))
        self.model.to(self.processes.device)
        self.optimizer = make_optimizer(self.model, self.settings, self.processes.device.type, objective)
        self.use_columns({})

    @property
    def is_out_of_patience(self) -> bool:
        """True if training should end before its last step."""
        return self.evaluate is not None and self.evaluate.is_out_of_patience(self.log)

    def resume(self) -> None:
        """Continue from the newest checkpoint; raise NerbertError unless all processes have the same one."""
        if self.checkpoints:
            self.log, columns = self.checkpoints.resume(self.model, self.optimizer)
            self.use_columns(columns)
        step, processes = self.log.steps, self.processes
        # Sums of steps could agree by chance (1 + 3 = 2 + 2); with those of the squares
        # only equal steps do.
        if processes.totals(step, step * step) != [processes.count * step, processes.count * step * step]:
            raise NerbertError(
                f"process {processes.rank} resumes after step {step}, another one after a different "
                "step: all must see the output's folder"
            )
        self.bar.advance(step, before=True)

    def epochs(self) -> Iterator[tuple[int, Iterator[Array]]]:
        """Yield each remaining epoch, with the windows of its steps."""
        if not self.is_out_of_patience:
            steps = self.data.steps(self.settings, self.log.steps, self.total)
            for epoch, group in groupby(steps, itemgetter(0)):
                yield epoch, (numbers for _, numbers in group)

    def begin_epoch(self, epoch: int) -> EpochColumns | None:
        """Let the objective begin an epoch, return its figures; raise NerbertError if processes' columns differ."""
        self.model.eval()
        with torch.no_grad():
            begun = self.epoch_hooks.begin_epoch(self.model, self.data, epoch, self.columns, self.processes)
        self.model.train()
        if begun is not None:
            # Names become files' names in checkpoints.
            if strange := next((name for name in begun.columns if not name.isidentifier()), None):
                raise NerbertError(f"epoch {epoch}: a column is called {strange!r:.80}: it must be a Python name")
            self.use_columns(begun.columns)
            self.log.columns = digest_of(begun.columns)
        # Asked even without new columns: the last ones must agree, too.
        if len(set(self.processes.gather([self.log.columns]))) > 1:
            raise NerbertError(
                f"epoch {epoch}: the processes computed different columns: the objective must give all of them the same"
            )
        self.log.begun = epoch + 1
        return begun

    def use_columns(self, columns: Columns) -> None:
        """Train on the windows that the objective makes with these columns."""
        self.columns, windows = columns, self.data.windows
        self.windows = self.epoch_hooks.use_columns(windows, columns) if columns else windows

    def rate_of(self, step: int, epoch: int) -> float:
        """Return the encoder's learning rate in a step, counted from 1."""
        settings = self.settings
        rate = settings.learning_rate * rate_at(step - 1, self.total, settings.warmup_ratio, settings.schedule)
        return rate * self.epoch_hooks.rate_factor(epoch)

    def add_evaluation(self) -> dict[str, float]:
        """Add a log entry with the model's score, and return it."""
        entry = self.log.add_entry(self.log.steps / self.per_epoch)
        if self.evaluate:
            self.model.eval()
            # An objective's figures must not replace `step`, `epoch` and `loss`.
            entry |= self.evaluate(self.model, self.log) | entry
            self.model.train()
        return entry


def total_steps(windows: int, settings: TrainSettings) -> int:
    """Return the number of steps that `train` will take, unless it ends early."""
    steps = max(1, settings.min_steps, round(settings.epochs * math.ceil(windows / settings.batch_size)))
    return min(steps, settings.max_steps) if settings.max_steps else steps


def rate_at(step: int, total: int, warmup_ratio: float, schedule: Schedule = "linear") -> float:
    """Return the learning rate as a share of its peak: a linear warm-up, then the schedule."""
    warmup = round(total * warmup_ratio)
    # From above 0: the first step would change nothing else.
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else (1 - math.cos(math.pi * left)) / 2


def make_optimizer(
    model: Any, settings: TrainSettings, device: str, objective: Objective | None = None
) -> torch.optim.Optimizer:
    """Return the objective's own optimizer, or AdamW for unfrozen parameters, vectors (biases, norms) without decay.

    Layers that the `objective` calls new are groups with their own learning rate, if the settings have one.
    """
    if objective and (optimizer := objective.optimizer(model, settings)):
        return optimizer
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate = settings.new_layers_learning_rate
    new = set[int]()
    if rate and objective:
        new = {id(parameter) for parameter in objective.new_parameters(model)}
    groups = _groups([parameter for parameter in trained if id(parameter) not in new], settings)
    if new:
        further = _groups([parameter for parameter in trained if id(parameter) in new], settings)
        # `share` keeps the ratio of both rates while the schedule changes them.
        groups += [group | {"lr": rate, "share": rate / settings.learning_rate} for group in further]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=device in ("cpu", "cuda"))


def _groups(parameters: Sequence[torch.nn.Parameter], settings: TrainSettings) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
