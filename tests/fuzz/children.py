"""A call in a forked process: it may crash, take all memory or never end without harm, and what it touched is known."""

import os
import resource
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_BATCH = 20
_MEMORY, _SECONDS = 1 << 30, 30
"""Bytes of memory that a call may take beyond those of this process, and seconds of the processor."""
_FORBIDDEN = (
    "pickle.find_class",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.bind",
    "ctypes.dlopen",
    "shutil.rmtree",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.putenv",
    "webbrowser.open",
    "urllib.Request",
)
"""Events of Python's audit that no reader of a model causes."""
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir")
_OWN = tuple(
    map(
        os.path.realpath,
        {
            *sys.path,
            sys.prefix,
            sys.base_prefix,
            *sysconfig.get_paths().values(),
            "/proc",
            "/sys",
            "/dev",
            "/usr/lib",
            "/etc/ld.so.cache",
            str(Path(__file__).parents[2]),
        }
        - {"", "."},
    )
)
"""Where Python's own files are, and those of the project."""

_CODE = (".py", ".pyc", ".so")


class Watch:
    """What a process does outside of the folders that it may read, and of those that it may write."""

    def __init__(self, reads: Sequence[Path], writes: Sequence[Path]) -> None:
        self.faults: list[str] = []
        self._writes = tuple(map(os.path.realpath, writes))
        self._folders = tuple(map(os.path.realpath, reads))
        self._reads = (*self._folders, *self._writes, *_OWN)
        self._on = True

    def stop(self) -> None:
        """Watch no more."""
        self._on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event of the audit."""
        if not self._on:
            return
        if event in _FORBIDDEN or (event in _CHANGES and not self._below(arguments[0], self._writes)):
            self.faults.append(f"{event} {arguments!r:.200}")
        elif event == "open" and not isinstance(arguments[0], int):
            self._open(*arguments)

    def _open(self, path: Any, mode: str | None, flags: int) -> None:
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if not self._below(path, self._writes if writes and os.fspath(path) != os.devnull else self._reads):
            self.faults.append(f"open {path!r:.200} {mode} {flags}")
        elif not self._below(path, _OWN) and self._below(path, self._folders) and str(path).endswith(_CODE):
            self.faults.append(f"code {path!r:.200}")

    @staticmethod
    def _below(path: Any, folders: Sequence[str]) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return any(real == each or real.startswith(each + os.sep) for each in folders)


def in_child(
    call: Callable[[], object],
    *,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    memory: int = _MEMORY,
    seconds: int = _SECONDS,
) -> str:
    """Run a call in a copy of this process, and return `str` of its result; anything but an end in peace is a fault."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run(call, writer, Watch(reads, writes), memory, seconds)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        raise AssertionError(f"the process ended by {name} (SIGXCPU: {seconds} seconds of the processor): {said}")
    assert said.startswith("="), f"the call raised:\n{said}"
    return said[1:]


def each_in_child(cases: Sequence[T], check: Callable[[T], object], **how: Any) -> None:
    """Check cases in children, many in one; where it fails, find the first case that fails alone, or tell of all."""

    def run(batch: Sequence[T]) -> None:
        try:
            in_child(lambda: [check(case) for case in batch], **how)
        except AssertionError as error:
            raise AssertionError(f"{batch!r:.20000}\n{error}") from None

    for start in range(0, len(cases), _BATCH):
        batch = cases[start : start + _BATCH]
        try:
            run(batch)
        except AssertionError:
            for case in batch:
                run([case])
            raise  # together only


def _run(call: Callable[[], object], writer: int, watch: Watch, memory: int, seconds: int) -> None:
    """Run the call in the copy, tell its result or what it raised, and end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # panics are printed
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
        sys.addaudithook(watch)
        try:
            said = f"={call()}"
        except BaseException:
            said = traceback.format_exc()
        watch.stop()
        if watch.faults:
            said = f"it did what no reader does: {watch.faults}\n{said}"
        os.write(writer, said[-60_000:].encode(errors="backslashreplace"))
    finally:
        os._exit(0)
