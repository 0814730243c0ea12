"""The only training loop: short, readable, on torch.distributed, and independent of the task.

Losses are summed over a step and divided once, so micro-batches don't change gradients. Randomness comes from seed,
step and rank.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from signal import SIGINT, SIGTERM

from nerbert.errors import NerbertError
from nerbert.process import stop_asked
from nerbert.terminal import tell
from nerbert.training.checkpoint import TrainLog
from nerbert.training.distributed import explain_out_of_memory
from nerbert.training.objective import EpochColumns
from nerbert.training.run import Run
from nerbert.training.step import Figures, train_step

VERSION = 5
"""Increase this when the same settings train differently, so that unfinished runs don't resume."""


@explain_out_of_memory()
def train(run: Run) -> TrainLog:
    """Train the model of `run` in place and return the log.

    With `checkpoints`, start from the newest one; a signal then stops training after a checkpoint is saved. The number
    of steps follows from the first epoch's windows.
    """
    # Resume from the newest checkpoint
    run.resume()
    run.model.train()
    log, processes = run.log, run.processes
    record = Record(run)
    # Without checkpoints there is nothing to keep, so a signal ends the process at once.
    signals = stop_asked() if run.checkpoints else nullcontext(lambda: 0)
    with record, explain_out_of_memory(), signals as asked:
        for epoch, steps in run.epochs():
            # The objective's columns for the epoch
            # A resumed run has the columns of an epoch that had begun from its checkpoint.
            if epoch >= log.begun:
                record.log_epoch(run.begin_epoch(epoch))
            for number, windows in enumerate(steps, log.steps + 1):
                # An update
                figures = train_step(run, windows, run.rate_of(number, epoch), number)
                record.add(figures, int(run.windows.lengths_of(windows).sum()))
                # The score
                # The last step is always scored, so that a best checkpoint exists.
                scored = number % run.every == 0 or number == run.total
                if scored:
                    record.log_entry(run.add_evaluation())
                # A checkpoint, and the end
                # Clocks and signals differ between processes; the sums make all of them decide alike.
                due, stop = processes.totals(record.is_due(number), asked())
                if scored or due or stop:
                    record.save(tells=not scored)
                if stop:
                    ended: BaseException = KeyboardInterrupt() if asked() == SIGINT else SystemExit(128 + SIGTERM)
                    ended.add_note(f"step {log.steps} is kept")
                    raise ended
                if run.is_out_of_patience:
                    return log
    return log


class Record:
    """Reads the figures of steps; the first process writes log and checkpoints, if they are given."""

    def __init__(self, run: Run) -> None:
        self._run, self._log, first = run, run.log, run.processes.is_first
        self._checkpoints, self._steps = (run.checkpoints, run.steps) if first else (None, None)
        # As if the seconds before the interruption had just passed.
        self._begin = time.monotonic() - run.log.seconds
        self._warned = False

    def __enter__(self) -> None:
        if self._steps:
            self._steps.begin(self._log.steps)
            if self._log.steps:
                tell(f"resuming after step {self._log.steps} of {self._run.total}")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._steps:
            self._steps.close()
        newest = self._checkpoints.newest() if self._checkpoints else None
        if newest and isinstance(error, NerbertError):
            error.args = (f"{error}; the last good checkpoint is {newest}",)

    def log_epoch(self, begun: EpochColumns | None) -> None:
        """Log an objective's figures for a new epoch under its first step, so that a resumed run writes them once."""
        if self._steps and begun and begun.figures:
            position = {"step": self._log.steps + 1, "epoch": self._log.begun - 1}
            self._steps.write("epoch", position | dict(begun.figures))

    def add(self, figures: Figures, tokens: int) -> None:
        """Log a step over so many tokens in all processes."""
        log = self._log
        log.add_step(figures["loss"], tokens, time.monotonic() - self._begin)
        if self._steps:
            so_far = {"tokens": log.tokens, "seconds": round(log.seconds, 3)}
            self._steps.write("train", {"step": log.steps, **figures, **so_far})
        # Once: later steps of that length run out of memory in the same way.
        if (most := figures.get("max_tokens_per_batch")) and not self._warned:
            self._warned, setting = True, self._run.settings.max_tokens_per_batch
            tell(
                f"memory ran out with max_tokens_per_batch = {setting}: step cut to {most}, and so are later ones "
                f"where it runs out; max_tokens_per_batch={most} saves the failed attempts"
            )
        self._run.bar.advance(note=f"loss {figures['loss']:.3f}, {log.tokens / log.seconds:,.0f} tokens/s")

    def log_entry(self, entry: Mapping[str, float]) -> None:
        """Log an evaluation."""
        if self._steps:
            self._steps.write("validation", entry)
            figures = (f"{name} {value:.4f}" for name, value in entry.items() if name not in ("step", "epoch"))
            self._tell(", ".join(figures))

    def _tell(self, message: str) -> None:
        """Print one line with the speed and the time left, if there is no progress bar."""
        # A terminal shows the progress bar instead.
        if not sys.stderr.isatty():
            log, total = self._log, self._run.total
            left = timedelta(seconds=round((total - log.steps) * log.seconds / log.steps))
            tell(f"step {log.steps} of {total}: {message}; {log.tokens / log.seconds:,.0f} tokens/s, {left} left")

    def is_due(self, step: int) -> bool:
        """Return whether to save after this step."""
        return bool(self._checkpoints and self._checkpoints.is_due(step))

    def save(self, *, tells: bool) -> None:
        """Save a checkpoint, and print a line if `tells`."""
        if self._checkpoints:
            self._checkpoints.save(self._run.model, self._run.optimizer, self._log, self._run.columns)
            if tells and self._steps:
                self._tell("kept")
