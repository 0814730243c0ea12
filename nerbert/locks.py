"""Lock folders and files while they are made, by `filelock`, and what threads share.

Cost: locks guard against processes of one machine, and not at all where the file system has none.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from nerbert.errors import OutputExists

_LOCKLESS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP})
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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


@contextmanager
def held(path: Path, taken: str, *, wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Lock a folder (by the file `.lock` in it) or a file made for it; raise OutputExists(`taken`) if it is locked.

    With `wait`, call that instead, and wait for the lock. A dead process holds none.
    """
    from filelock import FileLock, Timeout

    inside = path / ".lock" if path.is_dir() else None
    lock = FileLock(inside or path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        if wait is None:
            raise OutputExists(taken) from error
        wait()
        lock.acquire(poll_interval=0.2)
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise
    try:
        yield
    finally:
        if inside is not None:
            with suppress(OSError):  # Windows removes no open file; filelock does so there
                inside.unlink()
        lock.release()
