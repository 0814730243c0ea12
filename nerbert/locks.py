"""One process at a time: folders and files that are held while they are made.

The choice: the system's own locks (`flock`), which end with the process that holds them, however it ends. The price:
they guard against processes of one machine, and not at all where the file system has none.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerbert.errors import OutputExists

_LOCKLESS = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system that has no locks says to those who ask for one."""


@contextmanager
def held(path: Path, taken: str) -> Iterator[None]:
    """Hold a folder, or a file that is made for it, against other processes; raise OutputExists(`taken`) if one has it.

    A dead process holds nothing. Where the file system has no locks (some network ones) the work goes on without, and
    nobody guards it.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = _is_still(path, handle)
    except BlockingIOError:
        free = False
    except OSError as error:
        if error.errno not in _LOCKLESS:
            os.close(handle)
            raise
        free = True
    try:
        if not free:
            raise OutputExists(taken)
        yield
    finally:
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    """Whether a path still leads to an open file: another run may have renamed or removed it in between."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(handle))
