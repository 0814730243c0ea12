"""Executors run one pure task over many items, in order. A command makes one, and passes it to every stage.

Few items are in progress at once, so memory stays flat. Cost: a slow item delays the others. A task carries the data
that its items share: a table, or a model, whose pickle only tells how to load it. Each worker unpickles a task once, so
it loads a model only once. Workers end with the main process, even if that is killed. An extension point:
docs/extending/executor.md.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import filterfalse
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from nerbert.errors import NerbertError, SettingsError
from nerbert.registry import Registry

if TYPE_CHECKING:
    from nerbert.pool import Pool

Item = TypeVar("Item")
Result = TypeVar("Result")

_MEMBERS = ("workers", "map_ordered", "__enter__", "__exit__")


@dataclass(frozen=True, slots=True)
class Resources:
    """The needs of one task, for executors that assign tasks to machines; `local` uses only its number of workers."""

    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    """Memory in bytes; 0 if unknown."""
    isolated: bool = False
    """True if the task may kill its process, and so should not run in the command's process."""


ONE_CORE = Resources()


class Executor(Protocol):
    """Runs a command's tasks: made as `Class(workers)`, and entered and left once, as a context manager.

    Without `--workers`, `workers` is 1, or the class attribute `default_workers`.
    """

    workers: int
    """Maximum number of tasks at a time."""

    def map_ordered(
        self, task: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CORE
    ) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; read few items ahead. `task` is importable and pure.

        An error of a task is raised in place of its result. Raise WorkerDied if a worker ends without a result.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> bool | None: ...


EXECUTORS: Registry[Callable[[int], Executor]] = Registry(
    "executor",
    "nerbert.executors",
    {"local": "nerbert.executors:LocalExecutor", "ray": "nerbert.ray_executor:RayExecutor"},
)
"""Executors: functions from a number of workers to an `Executor`."""


class LocalExecutor(AbstractContextManager["LocalExecutor"]):
    """Run tasks in local processes, or with one worker in this process (unless they need to be isolated).

    The processes start with the first task, and stay until the executor is left. They end at once if a caller stops
    before the last result; the next task then starts new ones. Raise WorkerDied if a worker dies.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise SettingsError(f"workers = {workers}: must be at least 1")
        self.workers = workers
        self._pool: Pool | None = None

    def map_ordered(
        self, task: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CORE
    ) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; an error of a task ends the run, and the processes stay."""
        # A process for one worker would cost its start, and a copy of the model.
        if self.workers == 1 and not needs.isolated:
            return map(task, items)
        if self._pool is None:
            # Loading multiprocessing takes longer than tagging a line.
            from nerbert.pool import Pool

            self._pool = Pool(self.workers)
        return self._pool.map_ordered(task, items)

    def __exit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.end()


def given_or_local(executor: Executor | None, workers: int) -> AbstractContextManager[Executor]:
    """Provide the given executor, or a local one that ends with the block."""
    return LocalExecutor(workers) if executor is None else nullcontext(executor)


@contextmanager
def open_executor(name: str = "local", workers: int | None = None) -> Iterator[Executor]:
    """Provide an executor by its name: `local`, `ray` or `module:Class`.

    Raise SettingsError for an unknown name, and for an executor that can't be started.
    """
    with ExitStack() as stack:
        try:
            kind = EXECUTORS.find(name)
            made = kind(getattr(kind, "default_workers", 1) if workers is None else workers)
            # Found at the start, not after hours by the first stage that needs it.
            if lacking := list(filterfalse(partial(hasattr, made), _MEMBERS)):
                raise SettingsError(f"executor {name!r:.80}: has no {', '.join(lacking)}, which every executor needs")
            executor = made.__enter__()
            # An executor never hides a command's error: a true result would.
            stack.push(lambda *error: made.__exit__(*error) and False)
            if not (isinstance(executor.workers, int) and executor.workers > 0):
                why = f"workers = {executor.workers!r:.80}: must be a number of at least 1"
                raise SettingsError(f"executor {name!r:.80}: {why}")
        except NerbertError:
            raise
        except Exception as error:
            why = f"can't be started: {type(error).__name__}: {error}"
            raise SettingsError(f"executor {name!r:.80}: {why:.300}; fix it, or use local") from error
        yield executor


HERE: Executor = LocalExecutor()
"""Runs everything in this process: the default of functions that take an executor."""
