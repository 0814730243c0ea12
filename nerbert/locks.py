"""Lock folders and files while they are made, by the system's own locks (`flock`).

Cost: they guard against processes of one machine, and not at all where the file system has none.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nerbert.errors import OutputExists

_LOCKLESS = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Errors of a file system without locks."""


@contextmanager
def held(
    path: Path, taken: str, *, wait: Callable[[], object] | None = None, shared: bool = False
) -> Iterator[None]:  # fmt: skip
    """Lock a folder, or a file made for it, against other processes; raise OutputExists(`taken`) if one has the lock.

    With `wait`, call that instead, and wait for the lock. Several processes may have it `shared`. A dead process holds
    none. On a file system without locks (some network ones) nothing is locked.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    handle = _locked(path, kind | fcntl.LOCK_NB)
    if handle is None and wait is not None:
        wait()
        while (handle := _locked(path, kind)) is None:
            pass
    if handle is None:
        raise OutputExists(taken)
    try:
        yield
    finally:
        os.close(handle)


def _locked(path: Path, kind: int) -> int | None:
    """Return a handle that locks the path; None if another process holds it, or has removed it meanwhile."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    free = False
    try:
        fcntl.flock(handle, kind)
        free = _is_still(path, handle)
    except BlockingIOError:
        pass
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise
        free = True
    finally:
        if not free:
            os.close(handle)
    return handle if free else None


def _is_still(path: Path, handle: int) -> bool:
    """Return whether a path still names an open file, which another run may have renamed or removed."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(handle))
