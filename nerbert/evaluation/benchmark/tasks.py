"""A benchmark's tasks, as an executor runs them: cells, and checkpoints of source domains.

A task writes its outcome into the store and returns only how it ended, so a process that dies loses nothing of others.
"""

import errno
import gc
import os
import re
import time
from multiprocessing import current_process, parent_process
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import torch

from nerbert.errors import NerbertError, WriteError, may_try_again
from nerbert.evaluation.benchmark.cells import Machine, State
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.system import CellTask
from nerbert.process import in_worker

OUT_OF_TIME = "no time left"
_LONGEST_WHY = 500
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Desk(NamedTuple):
    """The setting of tasks: the store's folder, the machine, its GPUs by name, and the time (`time.time`) after which
    none begins.
    """

    store: Path
    machine: Machine
    gpus: tuple[str, ...] = ()
    until: float | None = None


class End(NamedTuple):
    """How a task ended: why it isn't done, and the consequences for others."""

    state: State = State.DONE
    why: str = ""
    try_again: bool = False
    """Whether the machine may be the cause."""
    full: bool = False
    """The store's disk is full, so no other cell can be stored either."""


def run_task(desk: Desk, task: CellTask) -> End:
    """Make a cell or a source checkpoint, keep it in the store, and return how that ended."""
    if desk.until is not None and time.time() >= desk.until:
        return End(State.NOT_RUN, OUT_OF_TIME)
    if parent_process() is not None:
        _settle(desk.gpus)
    store = Store(desk.store)
    scratch = store.scratch / task.key
    try:
        rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        _make(task, store, scratch)
    except Exception as error:
        return failure(error, scratch, task.data.folder)
    finally:
        rmtree(scratch, ignore_errors=True)
        gc.collect()  # models hold themselves, and this process makes others
        if desk.machine.device == "cuda":
            _free_gpu()
    return End()


def _free_gpu() -> None:
    """Free cached memory; end a worker process whose GPU refuses all further work."""
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        if in_worker():
            os._exit(1)


def _settle(gpus: tuple[str, ...]) -> None:
    """Silence a worker process, so that bars and warnings don't mix on one terminal; give it one of several GPUs."""
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of(current_process().name, gpus)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def gpu_of(process: str, gpus: tuple[str, ...]) -> str:
    """Return the GPU of a process; Python numbers them in their names, so they use the GPUs in turn."""
    return gpus[int(re.sub(r"\D", "", process) or 0) % len(gpus)]


def failure(error: Exception, scratch: Path, data: Path) -> End:
    """Return an error as an end, in one line without folders, so that equal ones can be grouped. An end to try again
    may be due to the machine: no memory, no file handles, a bad disk, files that changed meanwhile.
    """
    said = " ".join(str(error).split())
    why = said if isinstance(error, NerbertError) else f"{type(error).__name__}: {said}"
    why = why.replace(f"{scratch}/", "").replace(f"{data}/", "").replace(f"{data}: ", "")[:_LONGEST_WHY]
    full = isinstance(error, WriteError) or (isinstance(error, OSError) and error.errno in _FULL)
    return End(State.FAILED, why, may_try_again(error), full)


def _make(task: CellTask, store: Store, scratch: Path) -> None:
    """Make what a task is for; what changed meanwhile is the reason of whatever else went wrong."""
    try:
        task.make(store, scratch)
    except Exception:
        task.check_unchanged()
        raise
