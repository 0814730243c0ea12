"""Memory of a training: its peak, and one error line with the setting to lower where it runs out."""

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOMEM

import torch

from nerbert.errors import NerbertError
from nerbert.training.base_settings import TrainSettings

_SHORTEST = 8
"""The least `max_length`."""
_SIGNS = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""Messages of torch about a GPU, of its CPU allocator on Linux and on Windows, of cuBLAS, and of C++."""
_TRIED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|[KMGT]i?B)", re.IGNORECASE)


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: by torch on a GPU, by the whole process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def out_of_memory(settings: TrainSettings) -> Iterator[None]:
    """Replace an error of memory by one line that names the setting to lower; let all other errors pass."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        explanation = explained(error, settings)
        if explanation is None:
            raise
        raise explanation from error


def explained(error: BaseException, settings: TrainSettings) -> NerbertError | None:
    """Return one line for memory that ran out in a training with these settings; None for any other error."""
    if not _is_memory(error):
        return None
    tried, tokens, longest = _tried(str(error)), settings.max_tokens_per_batch, settings.max_length
    largest = min(tokens, settings.batch_size * longest)
    if largest < 2 * longest:
        shorter = max(_SHORTEST, longest // 2)
        return NerbertError(
            f"memory ran out{tried} with single windows of up to {longest} tokens (max_tokens_per_batch = {tokens}): "
            f"try max_length={shorter}, or a smaller model"
        )
    return NerbertError(
        f"memory ran out{tried} with max_tokens_per_batch = {tokens}: try max_tokens_per_batch={_halved(largest)}; it "
        "changes memory and speed, never the sums"
    )


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or bool(_SIGNS.search(str(error)))


def _tried(message: str) -> str:
    """Return the size of the allocation that failed, where the message has it."""
    found = _TRIED.search(message)
    if not found:
        return ""
    return f" ({as_bytes(int(found[1])) if found[2] == 'bytes' else f'{found[1]} {found[2]}'} at once)"


def _halved(tokens: int) -> int:
    """Return the largest power of two that is at most half."""
    return 1 << max(0, (tokens // 2).bit_length() - 1)


def as_bytes(count: int) -> str:
    """Return a number of bytes in MB or GB."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.1f} MB"
