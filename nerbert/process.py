"""This process: its cores, its rank under torchrun, the signals that ask it to stop, and its versions."""

import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nerbert.about import __version__
from nerbert.errors import MissingExtra, SettingsError


def cores() -> int:
    """Return the number of cores that this process may use."""
    # A container or a batch system may allow fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Return the peak memory of this process, in bytes."""
    import resource  # not on Windows

    # macOS counts bytes, Linux kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def is_first_process() -> bool:
    """Return whether this is the only process, or the first one of torchrun; that process prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def in_worker() -> bool:
    """Return whether this is a worker of `multiprocessing`, of its fork that `datasets` uses, or of Ray."""
    modules = (sys.modules.get(f"{name}.process") for name in ("multiprocessing", "multiprocess"))
    ray: Any = sys.modules.get("ray._private.worker")
    of_ray = ray is not None and ray.global_worker.mode == ray.WORKER_MODE
    return of_ray or any(module is not None and module.parent_process() is not None for module in modules)


def check_alone(what: str) -> None:
    """Raise SettingsError if torchrun started several processes for work that runs in one."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise SettingsError(f"{what} runs in one process: start it without torchrun")


@contextmanager
def stop_asked() -> Iterator[Callable[[], int]]:
    """Provide a function that returns the first signal received (SIGTERM or Ctrl-C), 0 for none.

    The signal doesn't end the process, so work can stop without losses. A second Ctrl-C acts as usual, but not a second
    SIGTERM, since torchrun and service managers send it twice.
    """
    came = list[int]()
    handlers = dict[int, Any]()

    def note(number: int, _: object) -> None:
        came.append(number)
        # A user who presses it again doesn't want to wait.
        if number == signal.SIGINT:
            signal.signal(number, handlers[number])

    # Python allows handlers only there; other threads leave signals alone.
    if threading.current_thread() is threading.main_thread():
        handlers |= {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came[0] if came else 0
    finally:
        for number, handler in handlers.items():
            # None: a handler in C, which Python can't install again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


_REPORTED = ("torch", "transformers", "onnxruntime")


def installed_version(name: str) -> str:
    """Return a distribution's version, "" if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and most commands don't need it

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def check_package(name: str) -> None:
    """Raise MissingExtra if a package of this project is installed in another version than nerbert."""
    version = installed_version(name)
    if version not in ("", __version__):
        raise MissingExtra(f"{name} {version} doesn't fit nerbert {__version__}: pip install {name}=={__version__}")


def machine() -> str:
    """Return Python's version and the system: `Python 3.12.4, Linux 6.1.0 on x86_64`."""
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    return f"Python {platform.python_version()}, {system}"


def version_report() -> str:
    """Return the output of `nerbert --version`; its first line is `nerbert` and the version."""
    libraries = (f"{name} {installed_version(name) or 'not installed'}" for name in _REPORTED)
    return "\n".join([f"nerbert {__version__}", machine(), *libraries])
