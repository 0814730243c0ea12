"""The processes of a benchmark: one task each, a limited number at once.

Children are forked from a server that has the heavy libraries loaded, so a cell doesn't spend seconds on imports. They
don't receive Ctrl-C, and end when the main process ends, for whatever reason. They import from where the main process
does, never from the current folder alone. The price: they share no memory, and each reads its data anew.
"""

import os
import re
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, Self

from nerbert.artifacts import read_json
from nerbert.errors import InputError
from nerbert.evaluation.benchmark.inputs import Job, Machine, SourceTraining
from nerbert.evaluation.benchmark.worker import End, Post, run_child
from nerbert.executors import cores, without_ctrl_c

Task = Job | SourceTraining
_PRELOAD = [
    "nerbert.evaluation.benchmark.steps", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto", "torch._dynamo",
]  # fmt: skip
"""What a cell imports in any case; 4 seconds of CPU that each would spend."""
_GRACE = 10.0


class _Child(NamedTuple):
    task: Task
    process: Any
    reports: Connection
    slot: int


class Processes:
    """A pool of processes; as a context it ends those that are left."""

    def __init__(
        self, store: Path, data: Path, machine: Machine, workers: int = 0, encoders: Iterable[str] = ()
    ) -> None:
        self._about = (store, data, machine)
        self._gpus = _gpus() if machine.device == "cuda" else []
        self.workers = workers or len(self._gpus) or cores()
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(_preloaded(encoders))
        self._children: list[_Child] = []

    def __enter__(self) -> Self:
        self._end, self._ours = self._context.Pipe(duplex=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        for child in self._children:
            child.process.join(_GRACE)
            child.process.kill()
            child.process.join()
        self._end.close()

    @property
    def free(self) -> bool:
        """Whether one more can be begun."""
        return len(self._children) < self.workers

    @property
    def busy(self) -> bool:
        """Whether one is under way."""
        return bool(self._children)

    def start(self, task: Task) -> None:
        """Begin a task in a process of its own."""
        taken = {child.slot for child in self._children}
        slot = next(number for number in count() if number not in taken)
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else ""
        reports, sends = self._context.Pipe(duplex=False)
        post = Post(*self._about, gpu, sends, self._end)
        process = self._context.Process(target=run_child, args=(task, post), daemon=True)
        with without_ctrl_c():
            process.start()
        sends.close()
        self._children.append(_Child(task, process, reports, slot))

    def wait(self) -> list[tuple[Task, End]]:
        """Wait until at least one has ended; return those that have, and how they ended."""
        ended = wait([child.process.sentinel for child in self._children])
        gone = [child for child in self._children if child.process.sentinel in ended]
        self._children = [child for child in self._children if child not in gone]
        return [(child.task, _end_of(child)) for child in gone]


def _end_of(child: _Child) -> End:
    """Return how a child ended: what it reported, or what killed it."""
    child.process.join()
    with child.reports:
        try:
            return End(*child.reports.recv())
        except EOFError:
            pass
    code = child.process.exitcode or 0
    if code < 0:
        memory = " (out of memory?)" if -code == signal.SIGKILL else ""
        return End(f"the process died of signal {-code}{memory}; the next run tries again", try_again=True)
    return End(f"the process ended with code {code}; the next run tries again", try_again=True)


def _preloaded(encoders: Iterable[str]) -> list[str]:
    """Return modules to be loaded once for all.

    None under `python -E`, which looks for them in the current folder first.
    """
    if sys.flags.ignore_environment and not sys.flags.safe_path:
        return []
    return _PRELOAD + [name for each in encoders for name in _model_modules(Path(each))]


def _model_modules(folder: Path) -> list[str]:
    """Return the modules of `transformers` that an encoder needs; a name that is no module's is passed over."""
    with suppress(InputError, AttributeError, TypeError):
        kind = read_json(folder / "config.json").get("model_type").replace("-", "_")
        if re.fullmatch("[a-z0-9_]+", kind):
            return [f"transformers.models.{kind}.{part}_{kind}" for part in ("modeling", "tokenization")]
    return []


def _gpus() -> list[str]:
    """Return the names by which a child can be given one GPU alone."""
    import torch

    named = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    return named or [str(number) for number in range(torch.cuda.device_count())]
