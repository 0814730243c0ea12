"""Locks for objects that threads share."""

import os
from contextlib import suppress
from threading import Lock
from weakref import WeakSet

# Weak, so that locks of deleted objects don't add up.
_thread_locks = WeakSet["ThreadLock"]()


class ThreadLock:
    """A lock between the threads of a process. In a forked process it is free: the thread that held it isn't there."""

    def __init__(self) -> None:
        self.renew()
        _thread_locks.add(self)

    def renew(self) -> None:
        """Free the lock, whichever thread holds it."""
        self._lock = Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        # A process forked inside the block has a renewed lock, which isn't held.
        with suppress(RuntimeError):
            self._lock.release()


def _renew_locks() -> None:
    for lock in _thread_locks:
        lock.renew()


# Windows doesn't fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
