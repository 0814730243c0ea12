"""Epochs: where an objective begins one, and the columns that it gives the windows there.

A column is an array that the model computes: a new label for each word, say. All processes make it together, once, and
every checkpoint has it until the next is made. A resumed run reads it, so a killed run equals one that never stopped.
Cost: larger checkpoints, and a kill while columns are made loses them.
"""

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nerbert.errors import NerbertError
from nerbert.training.distributed import ProcessGroup
from nerbert.training.log import TrainLog
from nerbert.training.objective import Columns, EpochColumns, Objective

if TYPE_CHECKING:
    from nerbert.training.batches import TrainingData


class Epochs:
    """The data of the epoch that was begun last, and its `columns`; `columns` are at first those of a checkpoint."""

    def __init__(
        self, data: "TrainingData", objective: Objective, processes: ProcessGroup, log: TrainLog, columns: Columns
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


def digest_of(columns: Columns) -> str:
    """Return the SHA-256 of columns: names, types, shapes and values; "" if there are none."""
    if not columns:
        return ""
    digest = sha256()
    for name, column in sorted(columns.items()):
        digest.update(f"{name} {column.dtype.str} {column.shape}\n".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()
