"""The processes that train together, one or several (`torchrun`), on torch.distributed; and out-of-memory errors.

Gradients are summed once per step. Cost: communication doesn't overlap with the last backward pass.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from errno import ENOMEM
from itertools import chain
from typing import Any

import torch
from torch import distributed

from nerbert.errors import NerbertError, SettingsError, refused
from nerbert.training.settings import TrainSettings

_PATIENCE = timedelta(hours=6)
"""Time limit for processes to wait for each other: one may tokenise a corpus, or score, alone."""


@dataclass
class ProcessGroup:
    """`rank` of `count` processes, computing on `device`."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """True in the process that writes files and prints messages."""
        return self.rank == 0

    def totals(self, *values: float) -> list[float]:
        """Return the sums over all processes."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        with _explain_lost_process():
            distributed.all_reduce(sums)
            return list(sums.tolist())

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Set each gradient to its sum over all processes; a parameter without a gradient in any keeps none."""
        if self.count == 1:
            return
        # All processes must join the same operations, in the same order; a part that only
        # some windows use has a gradient in some processes only.
        have = self.totals(*(parameter.grad is not None for parameter in parameters))
        for parameter, anywhere in zip(parameters, have, strict=True):
            if anywhere:
                grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                with _explain_lost_process():
                    distributed.all_reduce(grad)
                parameter.grad = grad

    def gather(self, items: Sequence[Any]) -> list[Any]:
        """Return the items of all processes, in the order of their ranks."""
        shares = [list(items)] * self.count
        if self.count > 1:
            with _explain_lost_process():
                distributed.all_gather_object(shares, shares[0])
        return list(chain.from_iterable(shares))

    def wait(self) -> None:
        """Wait until all processes reach this call."""
        self.totals(0.0)

    def end(self) -> None:
        """Wait for the other processes and end the group."""
        if self.count > 1:
            self.wait()
            distributed.destroy_process_group()


_OF_DEVICE = ("CUDA error", "device-side assert")
"""Texts that mark an error of this process's own device."""


@contextmanager
def _explain_lost_process() -> Iterator[None]:
    """Raise a one-line error if a collective operation fails because another process has ended."""
    try:
        yield
    except RuntimeError as error:
        # These are this process's own errors; a lost process shows as a broken connection.
        if is_of_memory(error) or any(sign in str(error) for sign in _OF_DEVICE):
            raise
        raise NerbertError(
            "another process of this training has ended; its own message says why. The same command "
            "goes on from the newest checkpoint, with any number of processes "
            f"({str(error).partition(chr(10))[0]:.200})"
        ) from error


def make_process_group(settings: TrainSettings) -> ProcessGroup:
    """Return the group of this process, which joins those that torchrun started with it."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # cuDNN makes a plan for each new shape, and micro-batches have many.
    torch.backends.cuda.enable_cudnn_sdp(False)
    with refused("this process can't train with others", SettingsError, (ValueError, RuntimeError)):
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return ProcessGroup(torch.device(best_device()))
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            # NCCL would fail at the first sum, as if another process had ended.
            if device.index >= torch.cuda.device_count():
                raise SettingsError(f"{torch.cuda.device_count()} GPUs: start at most one process for each")
            torch.cuda.set_device(device)
        # A caller may have joined the group before; its own settings stay.
        if not distributed.is_initialized():
            fast = device.type == "cuda" and distributed.is_nccl_available()
            distributed.init_process_group("nccl" if fast else "gloo", timeout=_PATIENCE)
        return ProcessGroup(device, distributed.get_rank(), distributed.get_world_size())


def best_device() -> str:
    """Return the type of the device for a training in one process: cuda, mps or cpu."""
    other = "mps" if torch.backends.mps.is_available() else "cpu"
    return "cuda" if torch.cuda.is_available() else other


_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""Messages of torch about a GPU, of its CPU allocator on Linux and on Windows, of cuBLAS, and of C++."""


@contextmanager
def explain_out_of_memory(setting: str = "max_tokens_per_batch, which holds for evaluations too") -> Iterator[None]:
    """Raise a one-line error naming the `setting` to lower if memory runs out and no smaller micro-batch helps."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_of_memory(error):
            raise
        why = str(error).partition("\n")[0] or type(error).__name__
        problem = f"memory ran out outside the micro-batches of training: {why:.200}"
        raise NerbertError(f"{problem}; try a smaller {setting}, or a smaller model") from error


def is_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory ran out."""
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))
