"""A training in a process of its own, to be killed: `python -m tests.training.child FOLDER [KILL]`.

KILL is `step N` (killed once step N is written down), `term N` or `int N` (it gets that signal then), `file N` (killed
while the N-th file of all checkpoints is being written), or nothing; tests/faults kills `pretrain` at any operation.
At its end it writes weights and moments to FOLDER/end.safetensors. With LABELS_ANEW=1 the model labels all words at the
start of each epoch.
"""

import os
import resource
import signal
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from nerbert.model.forward import Batch, logits_at
from nerbert.model.windows import Window, Windows
from nerbert.training import checkpoint
from nerbert.training.batches import TrainingData, collate
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, StepLog, _moments, _weights
from nerbert.training.distributed import ProcessGroup, make_process_group
from nerbert.training.loop import train
from nerbert.training.objective import CheckpointScore, Columns, EpochColumns, EpochHooks, Objective, StepHooks
from nerbert.training.run import Run
from nerbert.training.settings import TrainSettings
from tests.training.runs import tiny_model

SETTINGS = TrainSettings(
    precision="fp32",
    threads=1,
    batch_size=4,
    epochs=6,
    learning_rate=1e-3,
    max_tokens_per_batch=40,
)
MEMORY = int(os.environ.get("MEMORY", "0"))
"""Tokens that fit into the second process's memory; 0: all."""


class Tags(Objective, EpochHooks, StepHooks):
    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns | None:
        if not epoch or not os.environ.get("LABELS_ANEW"):
            return None
        share = np.arange(processes.rank, len(data.windows), processes.count)
        found = dict[int, np.ndarray[Any, Any]]()
        for number in share:
            batch = collate(data.windows, np.array([number]), 0).to(processes.device)
            found[int(number)] = logits_at(model, batch).argmax(-1).cpu().numpy().astype(np.int32)
        every = dict(chain.from_iterable(each.items() for each in processes.gather([found])))
        return EpochColumns({"labels": np.concatenate([every[number] for number in range(len(every))])}, {"norm": 1.0})

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        return replace(windows, labels=columns["labels"])

    def terms(self, batch: Batch) -> dict[str, float]:
        return {"loss": len(batch.labels)}

    def begin_step(self, windows: Windows, numbers: Any, step: int) -> None:
        if os.environ.get("RANK") == "1" and step == int(os.environ.get("RANK_DIES", "0")):
            os.kill(os.getpid(), signal.SIGKILL)

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        if os.environ.get("RANK") == "1" and 0 < MEMORY < batch.ids.numel():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes")
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
        return {"loss": torch.nn.functional.cross_entropy(logits, batch.labels, reduction="sum")}


def scored(model: Any) -> CheckpointScore:
    norm = float(sum(each.detach().norm() for each in model.parameters()))
    return CheckpointScore(norm, True, {"norm": norm})


def windows_of(count: int) -> Windows:
    random, rows = Random(3), []
    for number in range(count):
        length = random.randrange(4, 20)
        ids = tuple(random.randrange(5, 50) for _ in range(length))
        places = tuple(range(1, length - 1))
        rows.append(Window(number, ids, places, places, tuple(random.randrange(3) for _ in places)))
    return Windows.pack(rows)


SIGNALS = {"step": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}


def signal_at(number: int, step: int) -> None:
    """Let this process get a signal after a step."""
    real = StepLog.write

    def write(self: StepLog, kind: str, figures: Any) -> None:
        real(self, kind, figures)
        if kind == "train" and figures["step"] == step:
            for _ in range(1 + (number == signal.SIGTERM)):  # managers send it to a group, torchrun passes it on
                os.kill(os.getpid(), number)

    StepLog.write = write  # type: ignore[method-assign]


def die_at(count: int) -> None:
    """Let this process be killed while the `count`-th file is written."""
    seen = [0]

    def save(tensors: Any, path: Any, *given: Any, **named: Any) -> Any:
        seen[0] += 1
        if seen[0] == count:
            Path(path).write_bytes(b"half a file")
            os.kill(os.getpid(), signal.SIGKILL)
        return save_file(tensors, path, *given, **named)

    checkpoint.save_file = save  # type: ignore[attr-defined]


def main() -> None:
    folder, kill, dropout = Path(sys.argv[1]), sys.argv[2:4], float(os.environ.get("DROPOUT", "0.2"))
    if limit := int(os.environ.get("LIMIT", "0")):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if kill and kill[0] in SIGNALS:
        signal_at(SIGNALS[kill[0]], int(kill[1]))
    elif kill:
        die_at(int(kill[1]))
    windows, model = windows_of(30), tiny_model(dropout, layers=2)
    optimizers = list[Any]()
    real = torch.optim.AdamW.__init__

    def spy(self: Any, *given: Any, **named: Any) -> None:
        optimizers.append(self)
        real(self, *given, **named)

    torch.optim.AdamW.__init__ = spy  # type: ignore[method-assign]
    processes, objective = make_process_group(SETTINGS), Tags()  # type: ignore[abstract]
    data = TrainingData(windows, lambda epoch: np.arange(30 - epoch % 2), 0)
    log = train(
        Run(
            model,
            data,
            objective,
            SETTINGS,
            processes,
            evaluate=BestCheckpoint(scored, lambda *_: None),
            checkpoints=Checkpoints(folder, 2, steps=5),
            steps=StepLog(folder / "log.jsonl"),
        )
    )
    if processes.is_first:
        save_file(_weights(model) | _moments(model, optimizers[0]), folder / "end.safetensors")
    sys.stdout.write(f"{log.steps} steps\n")
    processes.end()


if __name__ == "__main__":
    main()
