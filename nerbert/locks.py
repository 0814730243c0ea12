"""Lock folders and files while they are made, by the system's own locks (`flock`), and what threads share.

Cost: they guard against processes of one machine, and not at all where the file system has none.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from nerbert.errors import OutputExists

_LOCKLESS = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Errors of a file system without locks."""
_thread_locks = WeakSet["ThreadLock"]()


class ThreadLock:
    """A lock between the threads of a process, free in one that was forked: who held it isn't there."""

    def __init__(self) -> None:
        self.renew()
        _thread_locks.add(self)

    def renew(self) -> None:
        """Free it, whoever holds it."""
        self._lock = Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # renewed meanwhile, in a process forked by the block
            self._lock.release()


def _renew_locks() -> None:
    for each in _thread_locks:
        each.renew()


os.register_at_fork(after_in_child=_renew_locks)


@contextmanager
def held(
    path: Path, taken: str, *, wait: Callable[[], object] | None = None, shared: bool = False
) -> Iterator[None]:  # fmt: skip
    """Lock a folder, or a file made for it, against other processes; raise OutputExists(`taken`) if one has the lock,
    or has just removed the folder.

    With `wait`, call that instead, and wait for the lock. Several processes may have it `shared`. A dead process holds
    none. On a file system without locks (some network ones) nothing is locked.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        handle = _locked(path, kind | fcntl.LOCK_NB)
    except FileNotFoundError as error:
        if wait is not None:
            raise
        raise OutputExists(taken) from error
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
