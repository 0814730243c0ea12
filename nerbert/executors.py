"""Executors run one pure task over many items, in order. A command makes one, and hands it down to every stage.

Few items are under way at once, so memory stays flat; the price is that a slow one holds back the others. A task
carries what its items share: a table, or a model, whose pickle says how to load it. Each worker unpickles a task once,
so a model is loaded once in each. Workers end with the main process, however it ends. An extension point:
docs/extending/executor.md.
"""

import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from nerbert.errors import NerbertError, SettingsError, WorkerDied, unknown
from nerbert.registry import EXECUTORS

Item = TypeVar("Item")
Result = TypeVar("Result")

_MEMBERS = ("workers", "map_ordered", "__enter__", "__exit__")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one task takes, for executors that place tasks on machines; `local` goes by its `workers` alone."""

    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    """Bytes; 0 is not known."""
    isolated: bool = False
    """Whether the task may kill its process, so it needs another one than the command's."""


ONE_CORE = Resources()


class Executor(Protocol):
    """What runs a command's tasks: made as `Class(workers)`, and entered and left once, as a context manager.

    One that is named by an address (`name://…`) is made as `Class.at(address, workers)`.
    """

    workers: int
    """How many tasks may run at once."""

    def map_ordered(
        self, task: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CORE
    ) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; take few items ahead. `task` is importable and pure.

        A task's own error is raised where its result is due. Raise WorkerDied where a worker ends without a result.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> bool | None: ...


class LocalExecutor:
    """Run tasks in local processes, or with one worker in this process (unless they need to be isolated).

    The processes start with the first task, and stay until the executor is left. They end at once where a caller stops
    in the middle of its results; then the next task starts others. A worker that dies raises WorkerDied.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = _at_least_one(workers)
        self._pool: tuple[ProcessPoolExecutor, Connection] | None = None
        self._under_way = 0

    def map_ordered(
        self, task: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CORE
    ) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; a task's own error ends the run, and leaves the processes."""
        here = self.workers == 1 and not needs.isolated
        return map(task, items) if here else self._map_in_processes(task, items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(at_once=self._under_way > 0)

    def _map_in_processes(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        futures: deque[Future[Result]] = deque()
        pickled = pickle.dumps(task)
        self._under_way += 1
        try:
            for item in items:
                with without_ctrl_c():
                    futures.append(self._started().submit(_run, pickled, item))
                if len(futures) > 2 * self.workers:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        except BrokenProcessPool as error:
            self._end(at_once=True)
            raise WorkerDied("a worker process died (out of memory?): try fewer --workers") from error
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


def _run(pickled: bytes, item: Any) -> Any:
    return _unpickled(pickled)(item)


@lru_cache(maxsize=2)
def _unpickled(pickled: bytes) -> Callable[[Any], Any]:
    """Return a task; two are kept, with their models, since a stage may read the results of another one."""
    task: Callable[[Any], Any] = pickle.loads(pickled)  # noqa: S301  (the main process's own)
    return task


def given_or_local(executor: Executor | None, workers: int) -> AbstractContextManager[Executor]:
    """Provide the executor that was given, or else a local one for as long as the block lasts."""
    return LocalExecutor(workers) if executor is None else nullcontext(executor)


@contextmanager
def open_executor(name: str = "local", workers: int | None = None) -> Iterator[Executor]:
    """Provide an executor by its name: `local`, `local:4`, `module:Class`, or an address `name://…` of a known one.

    `workers` None is 1, or what the address says. Raise SettingsError for a name that can't be read, and for an
    executor that can't be started.
    """
    with ExitStack() as stack:
        try:
            made = _make(name, workers)
            _check_members(name, made)
            executor = stack.enter_context(made)
            _check_members(name, executor)
        except NerbertError:
            raise
        except Exception as error:
            why = f"can't be started: {type(error).__name__}: {error}"
            raise SettingsError(f"executor {name!r:.80}: {why:.300}; mend it, or take local") from error
        yield executor


def _check_members(name: str, made: object) -> None:
    if lacking := [each for each in _MEMBERS if not hasattr(made, each)]:
        raise SettingsError(f"executor {name!r:.80}: has no {', '.join(lacking)}, which every executor has")


def _make(name: str, workers: int | None) -> Executor:
    """Return the executor of a name, not entered yet."""
    if workers is not None:
        _at_least_one(workers)
    kind, _, rest = name.partition(":")
    known = kind in EXECUTORS
    if known and rest.isdecimal():
        if workers not in (None, int(rest)):
            raise SettingsError(f"executor {name!r:.80}: has workers, and so has workers = {workers}; leave one out")
        return EXECUTORS.find(kind)(int(rest))
    if known and rest.startswith("//") and rest != "//":
        at: Callable[[str, int | None], Executor] | None = getattr(EXECUTORS.find(kind), "at", None)
        if at is None:
            raise SettingsError(f"executor {name!r:.80}: {kind} has no addresses; take {kind}, or {kind}:4")
        return at(name, workers)
    if (known and ":" in name) or not EXECUTORS.contains(name):
        forms = f"{EXECUTORS}; NAME:4 has 4 workers, NAME://ADDRESS is a cluster's"
        raise SettingsError(f"executor {name!r:.80}{unknown(kind, EXECUTORS, allowed=forms)}")
    return EXECUTORS.find(name)(workers or 1)


def _at_least_one(workers: int) -> int:
    if workers < 1:
        raise SettingsError(f"workers = {workers}: must be at least 1")
    return workers


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
