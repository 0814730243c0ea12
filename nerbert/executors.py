"""Executors run one pure task over many items, in order. A command makes one, and hands it down to every stage.

The choice: results come back in the order of the items whatever the number of workers, and at most a few items a
worker are under way, so memory stays flat. The price is that one slow item can hold the others back for a moment.
The local executor's workers are processes. However the main process ends, they end too: each has a thread that waits
for that, at the other end of a pipe. Ctrl-C is the main process's alone; its workers, which never hear of it, end with
it in the middle of their items. An extension point: docs/extending/executor.md.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from nerbert.errors import NerbertError, SettingsError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """What runs a command's tasks: made as `Class(workers)`, and entered and left once, as a context manager."""

    workers: int
    """How many tasks may run at once."""

    def map_ordered(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; take few items ahead. `task` is importable and pure."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> object: ...


class LocalExecutor:
    """Run tasks in local processes, or with one worker in this process (unless it is `isolated`).

    The processes start with the first task, and stay until the executor is left. They end at once where a caller stops
    in the middle of its results; then the next task starts others. A worker that dies raises NerbertError.
    """

    def __init__(self, workers: int = 1, *, isolated: bool = False) -> None:
        if workers < 1:
            raise SettingsError(f"workers = {workers}: must be at least 1")
        self.workers, self._here = workers, workers == 1 and not isolated
        self._pool: tuple[ProcessPoolExecutor, Connection] | None = None
        self._under_way = 0

    def map_ordered(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; a task's own error ends the run, and leaves the processes."""
        return map(task, items) if self._here else self._map_in_processes(task, items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(at_once=self._under_way > 0)

    def _map_in_processes(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        futures: deque[Future[Result]] = deque()
        self._under_way += 1
        try:
            for item in items:
                with without_ctrl_c():
                    futures.append(self._started().submit(task, item))
                if len(futures) > 2 * self.workers:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        except BrokenProcessPool as error:
            self._end(at_once=True)
            raise NerbertError("a worker process died (out of memory?): try fewer --workers") from error
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as stop:
            if self._under_way == 1 or not isinstance(stop, GeneratorExit):  # else others need the processes
                self._end(at_once=True)
            raise
        finally:
            self._under_way -= 1
            for future in futures:
                future.cancel()
            wait(futures)

    def _started(self) -> ProcessPoolExecutor:
        """Return the pool of processes; start it if there is none."""
        if self._pool is None:
            context = get_context("forkserver")
            end, ours = context.Pipe(duplex=False)
            pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=end_with_parent, initargs=(end,))
            self._pool = pool, ours
        return self._pool[0]

    def _end(self, *, at_once: bool) -> None:
        """End the processes, in the middle of their tasks if `at_once`."""
        if self._pool is not None:
            (pool, ours), self._pool = self._pool, None
            if at_once:
                ours.close()
            pool.shutdown()
            ours.close()


HERE: Executor = LocalExecutor()
"""Runs everything in this process: the default of functions that take an executor."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_first_process() -> bool:
    """Return whether this is the only process, or the first one of torchrun, which prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def check_alone(what: str) -> None:
    """Raise SettingsError where torchrun started several processes for what runs in one."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise SettingsError(f"{what} runs in one process: start it without torchrun")


@contextmanager
def stop_asked() -> Iterator[Callable[[], int]]:
    """Provide a function that returns the first signal of SIGTERM and Ctrl-C, 0 if none came; neither ends the process.

    So work can end where nothing is lost. A second Ctrl-C acts as usual; a second SIGTERM doesn't, since torchrun and
    service managers send it twice.
    """
    came, before = list[int](), dict[int, Any]()

    def note(number: int, _: object) -> None:
        came.append(number)
        if number == signal.SIGINT:
            signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        before |= {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came[0] if came else 0
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Keep Ctrl-C waiting; processes that are started meanwhile never get it.

    Python's own helpers are started here: one lets Ctrl-C through again once it has started, and both would import
    what lies in the current folder.
    """
    with _own_path():
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _own_path():
            forkserver.ensure_running()
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _own_path() -> Iterator[None]:
    """Let helpers of Python that start meanwhile import from where this process does, and from nowhere else.

    They are started as `python -c`, which looks into the current folder first, whatever lies there.
    """
    path = os.pathsep.join(str(Path(each or ".").absolute()) for each in sys.path if os.pathsep not in each)
    ours = {"PYTHONSAFEPATH": "1", "PYTHONPATH": path}
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def end_with_parent(end: Connection) -> None:
    """End this worker as soon as the main process closes its end of the pipe, or is gone, even if killed."""

    def wait_for_end() -> None:
        end.poll(None)
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()
