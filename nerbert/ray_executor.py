"""Run tasks on a Ray cluster: `--executor ray`, on one of its machines (docs/how-to/at-scale.md).

Tasks are Ray's tasks, not actors: Ray reruns those of a dead machine on any other machine, whereas an actor would wait
for free resources. A worker process caches the last tasks with their models, and Ray keeps the process while there is
work. Ray's object store holds a task's data once per machine. All machines need the same shared folders.
"""

import logging
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from socket import create_connection
from typing import Any, TypeVar

from nerbert.about import __version__
from nerbert.errors import NerbertError, SettingsError, WorkerDied, WriteError, need, refused
from nerbert.executors import ONE_CORE, Resources
from nerbert.terminal import tell

Item = TypeVar("Item")
Result = TypeVar("Result")
_REACHED, _PATIENCE = 10, 60
"""Timeouts in seconds: for the cluster's first answer, and for cancelled tasks to end."""


class RayExecutor(AbstractContextManager["RayExecutor"]):
    """Run tasks on a Ray cluster; `workers` = 0 means one per core of the cluster.

    Raise SettingsError if no cluster runs. An earlier `ray.init` of the program stays in effect.
    """

    default_workers = 0

    def __init__(self, workers: int = 0) -> None:
        ray = _ray()
        self._owned = not ray.is_initialized()
        if self._owned:
            _connect()
        try:
            cores = int(ray.cluster_resources().get("CPU", 0))
            self.workers = workers or cores or 1
            machines = sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())
            tell(f"Ray: machines: {machines}, cores: {cores}")
        except BaseException:
            self.__exit__()
            raise

    def map_ordered(
        self, task: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CORE
    ) -> Iterator[Result]:
        """Yield `task(item)` for each item, in order; Ray reruns tasks of dead machines and processes."""
        ray = _ray()
        futures = deque[Any]()
        with _translate_errors():
            # Ray would wait for such a machine forever.
            _check_room(needs)
            pickled = pickle.dumps(task)
            digest = sha256(pickled).hexdigest()
            # Once per machine in Ray's store; as an argument, it would be sent with each item.
            shared = ray.put(_Task(digest, __version__, str(Path.cwd()), needs.gpus > 0, pickled))
            how = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory or None}
            if needs.gpus and not needs.isolated:
                # Else Ray ends a process, and its model, with each task.
                how["max_calls"] = 0
            run = ray.remote(**how)(_run)
            try:
                for item in items:
                    futures.append(run.remote(shared, item))
                    if len(futures) > 2 * self.workers:
                        yield ray.get(futures.popleft())
                while futures:
                    yield ray.get(futures.popleft())
            finally:
                # The caller may fail after Ray's shutdown.
                for future in futures if ray.is_initialized() else ():
                    ray.cancel(future)
                if futures and ray.is_initialized():
                    # Cancelled tasks may still write into a folder that the caller deletes next.
                    ray.wait([*futures], num_returns=len(futures), timeout=_PATIENCE)

    def __exit__(self, *_: object) -> None:
        if self._owned:
            _ray().shutdown()


@dataclass(frozen=True, slots=True)
class _Task:
    """A task as it is sent: digest, version of nerbert, the folder that its paths are relative to, device, pickle."""

    digest: str
    made_by: str
    folder: str
    on_gpu: bool
    pickled: bytes = field(compare=False, repr=False)


def _ray() -> Any:
    """Return the module `ray`, whose functions are only partly typed."""
    need("ray", "ray")
    # Ray's default, -1, retries a task that is too large for memory forever.
    os.environ.setdefault("RAY_task_oom_retries", "3")
    return import_module("ray")


def _run(task: _Task, item: Any) -> Any:
    return _load_task(task)(item)


@lru_cache(maxsize=2)
def _load_task(task: _Task) -> Callable[[Any], Any]:
    """Return a task in a worker's process; two are cached, as in the local executor."""
    # Another version may give other results, which would then differ by machine.
    if task.made_by != __version__:
        raise SettingsError(
            f"nerbert {__version__} on one machine, {task.made_by} on another; install the same on each"
        )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not task.on_gpu:
        # Else a model would use a GPU that isn't assigned to it.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    fault = f"{task.folder}: isn't on every machine of the cluster"
    with refused(fault, SettingsError, OSError, remedy="run in a shared folder"):
        os.chdir(task.folder)
    loaded: Callable[[Any], Any] = pickle.loads(task.pickled)  # noqa: S301  (made by the driver)
    return loaded


def _connect() -> None:
    """Connect to the cluster that RAY_ADDRESS names, or else to the one that runs on this machine."""
    server = os.environ.get("RAY_ADDRESS", "auto")
    # `ray://…` is Ray's client, which runs outside the cluster.
    if "://" in server:
        raise SettingsError(
            f"RAY_ADDRESS {server!r:.80}: must be host:port of the cluster's head, and the command "
            "must run on one of its machines"
        )
    try:
        # Ray itself tries for minutes.
        if server != "auto":
            host, _, port = server.rpartition(":")
            create_connection((host.strip("[]"), int(port)), _REACHED).close()
        _ray().init(address=server, logging_level=logging.ERROR)
    except (RuntimeError, ValueError, OSError) as error:
        raise SettingsError(
            f"executor 'ray': no cluster at {server!r:.80} ({error!s:.200}); start one with `ray start "
            "--head`, or name it in RAY_ADDRESS (host:6379); or use local"
        ) from error


def _check_room(needs: Resources) -> None:
    """Raise SettingsError for a task that no machine of the cluster can run; Ray would wait for such a machine."""
    for name, wanted in {"CPU": needs.cpus, "GPU": needs.gpus}.items():
        most = max((node["Resources"].get(name, 0) for node in _ray().nodes() if node["Alive"]), default=0)
        if wanted > most:
            raise SettingsError(
                f"executor 'ray': a task needs {wanted:g} {name}, the machines of the cluster have "
                f"at most {most:g}; add one that has, or use local"
            )


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise an error of a task unchanged, and turn Ray's errors into those of nerbert."""
    faults = _ray().exceptions
    try:
        yield
    # Before RayError, its base class.
    except faults.RayTaskError as error:
        if isinstance(error.cause, ModuleNotFoundError):
            why = f"{error.cause!s:.200} on a machine of the cluster; install the same nerbert on each"
            raise SettingsError(f"executor 'ray': {why}") from None
        known = isinstance(error.cause, Exception) and not isinstance(error.cause, faults.RayError)
        raise (error.cause if known else NerbertError(f"a task failed in Ray: {error}")) from None
    except (faults.ObjectStoreFullError, faults.OutOfDiskError) as error:
        raise WriteError(
            "Ray's object store is full: start Ray with more --object-store-memory, free its disk, or "
            "give fewer --workers"
        ) from error
    except faults.RayError as error:
        raise WorkerDied(
            f"a worker of the cluster died, and so did those that ran its task again ({error!s:.300}); is "
            "memory short? Try fewer --workers"
        ) from error
