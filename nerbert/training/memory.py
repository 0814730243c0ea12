"""Memory that runs out: how it is recognised, and the one line about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOMEM

from nerbert.errors import NerbertError

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""Messages of torch about a GPU, of its CPU allocator on Linux and on Windows, of cuBLAS, and of C++."""


@contextmanager
def explain_out_of_memory(setting: str = "max_tokens_per_batch, which holds for evaluations too") -> Iterator[None]:
    """Raise one line that names the `setting` to lower where memory runs out and no smaller micro-batch helps."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_of_memory(error):
            raise
        why = str(error).partition("\n")[0] or type(error).__name__
        what = f"memory ran out outside the micro-batches of training: {why:.200}"
        raise NerbertError(f"{what}; try a smaller {setting}, or a smaller model") from error


def is_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out."""
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))
