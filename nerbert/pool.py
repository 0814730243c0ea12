"""The processes of the local executor. They end with the main process, however it ends, and never receive Ctrl-C."""

import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from hashlib import sha256
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from nerbert.errors import InputError, WorkerDied, WriteError, refused

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Processes that start with the first task, and end at once if a caller stops before the last result."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        with _catch_write_errors():
            self._tasks = TemporaryDirectory(prefix="nerbert-", ignore_cleanup_errors=True)
        self._started: tuple[ProcessPoolExecutor, Connection] | None = None
        self._under_way = 0

    def map_ordered(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; an error of a task ends the run, and the processes stay."""
        futures: deque[Future[Result]] = deque()
        self._under_way += 1
        try:
            path = self._share_task(task)
            for item in items:
                with without_ctrl_c():
                    futures.append(self._start().submit(_run, path, item))
                # Twice the workers: enough that none is idle, few enough that memory stays flat.
                if len(futures) > 2 * self._workers:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        # The pool can't be used any more; the next task starts a new one.
        except BrokenProcessPool as error:
            self._end(at_once=True)
            raise WorkerDied("a worker process died (out of memory?): try fewer --workers") from error
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as stop:
            # A caller that stops early ends the processes, unless other runs need them.
            if self._under_way == 1 or not isinstance(stop, GeneratorExit):
                self._end(at_once=True)
            raise
        finally:
            self._under_way -= 1
            # After an error of one task, the others would run on for nothing.
            for future in futures:
                future.cancel()
            wait(futures)

    def end(self) -> None:
        """End the processes; interrupt their tasks if results are still due."""
        self._end(at_once=self._under_way > 0)
        self._tasks.cleanup()

    def _share_task(self, task: Callable[[Any], Any]) -> str:
        """Return the path of the pickled task, which each worker reads once; items are sent without it."""
        pickled = pickle.dumps(task)
        # Named by its content: the same task in a later stage isn't loaded again.
        path = Path(self._tasks.name, sha256(pickled).hexdigest())
        if not path.exists():
            with _catch_write_errors():
                path.parent.mkdir(exist_ok=True)
                # Renamed when whole, since a worker may read it at once.
                draft = path.with_suffix(".part")
                draft.write_bytes(pickled)
                draft.replace(path)
        return str(path)

    def _start(self) -> ProcessPoolExecutor:
        """Return the pool of processes; start it if there is none."""
        if self._started is None:
            # Not fork: a copy of a process with threads (torch, tokenizers) may hold their locks forever.
            context = get_context("forkserver")
            end, ours = context.Pipe(duplex=False)
            pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_begin, initargs=(end,))
            self._started = pool, ours
        return self._started[0]

    def _end(self, *, at_once: bool) -> None:
        if self._started is not None:
            (pool, ours), self._started = self._started, None
            # Closing the pipe ends the workers in the middle of their tasks.
            if at_once:
                ours.close()
            pool.shutdown()
            ours.close()


def _catch_write_errors() -> AbstractContextManager[None]:
    return refused("workers' tasks can't be written", WriteError, OSError, remedy="set TMPDIR to another folder")


def _run(path: str, item: Any) -> Any:
    return _task(path)(item)


@lru_cache(maxsize=2)
def _task(path: str) -> Callable[[Any], Any]:
    """Return a task; two are cached, with their models, since a stage may read the results of another one."""
    task: Callable[[Any], Any] = pickle.loads(Path(path).read_bytes())  # noqa: S301  (the main process wrote it)
    return task


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Delay Ctrl-C; processes started meanwhile never receive it.

    Python's helper processes are started here, because one of them unblocks Ctrl-C once it has started, and both would
    import modules from the current folder.
    """
    with _own_path():
        resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        try:
            with _own_path():
                forkserver.ensure_running()
        # Python's error about the path of a socket has no errno.
        except OSError as error:
            remedy = "" if error.errno else "; set TMPDIR to a folder with a short path"
            raise InputError(f"workers can't be started: {error.strerror or error}{remedy}") from error
        yield
    finally:
        # The earlier mask, not "unblocked": blocks may be nested.
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _own_path() -> Iterator[None]:
    """Make Python's helpers, started as `python -c`, use this process's import path, not the current folder."""
    # A folder with a colon in its name can't be a part of the variable.
    path = os.pathsep.join(str(Path(folder or ".").absolute()) for folder in sys.path if os.pathsep not in folder)
    ours = {"PYTHONSAFEPATH": "1", "PYTHONPATH": path}
    saved = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(end: Connection) -> None:
    """Set up a worker: one core for tokenizers; it ends once the main process closes its end of the pipe or dies."""
    # One process per core already, so threads of tokenizers would only compete.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    def wait_for_end() -> None:
        # Nothing is ever sent: the call returns when the other end closes, even by SIGKILL.
        end.poll(None)
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()
