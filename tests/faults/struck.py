"""A command that a fault strikes at its N-th file operation: `python struck.py FAULT N ARGUMENT…`, in its folder.

Counted is what Python says below the working folder: files opened for writing, waited for on the disk, renamed, linked
or removed, folders made or removed, and statements of SQLite. Other C libraries (pyarrow, DuckDB, safetensors) write
files by themselves; theirs are seen when nerbert waits for them and gives them their names.

Faults: `none`; `kill`; `publish` (killed at the N-th renaming); `torn` (killed, and a file that would get its name is
cut in half, as if killed while it was written); `full` (nothing can be written from then on); `int` and `term` (the
signal); `stop` (stopped until SIGCONT); `read` (a read error at the N-th file that is opened for reading).
$NOTES.pid and $NOTES.count say which process it is, and how many operations and renamings there were.
"""

import errno
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from stat import S_ISREG
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.rename",
    "os.link",
    "os.symlink",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "fsync",
    "statement",
}
GROWS = {"open", "os.mkdir", "os.link", "os.symlink", "fsync"}
"""Operations that a full disk refuses."""


class Strike:
    """Counts operations, and acts at one of them."""

    def __init__(self, fault: str, when: int, folder: Path) -> None:
        self.fault, self.when, self.folder, self.count = fault, when, f"{folder}{os.sep}", 0
        self.renamings = 0

    def hook(self, event: str, given: tuple[Any, ...]) -> None:
        """Look at what Python is about to do."""
        if event == "open":
            if isinstance(given[0], (str, bytes, os.PathLike)) and bool(given[2] & WRITING) != (self.fault == "read"):
                self._at(event, _place(given[0]))
        elif event in CHANGES and self.fault != "read":
            by_handle = event in ("os.remove", "os.rmdir") and given[1] != -1  # as shutil.rmtree does
            self._at(event, self.folder if by_handle else _place(given[event in ("os.link", "os.symlink")]))

    def _at(self, event: str, place: str) -> None:
        if not place.startswith(self.folder):
            return
        self.count += 1
        self.renamings += event == "os.rename"
        now = self.renamings if self.fault == "publish" else self.count
        if now == self.when or (now > self.when > 0 and self.fault == "full"):
            self._strike(event, place)

    def _strike(self, event: str, place: str) -> None:
        if self.fault == "torn" and event == "os.rename" and S_ISREG(os.lstat(place).st_mode):
            self.when = -1
            os.truncate(place, os.lstat(place).st_size // 2)
        if self.fault in SIGNALS:
            os.kill(os.getpid(), SIGNALS[self.fault])
        elif self.fault == "read":
            raise OSError(errno.EIO, os.strerror(errno.EIO), place)
        elif self.fault == "full" and event in GROWS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)


def _place(path: Any) -> str:
    """Return the whole path of a file that is named, or open as this number."""
    return os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.path.abspath(os.fsdecode(path))  # noqa: PTH100, PTH115


SIGNALS = {
    **dict.fromkeys(("kill", "publish", "torn"), signal.SIGKILL),
    "int": signal.SIGINT,
    "term": signal.SIGTERM,
    "stop": signal.SIGSTOP,
}


def counted_fsync(strike: Strike) -> Callable[[Any], None]:
    """Return what stands in for `os.fsync`: an operation, without waiting for the disk."""

    def fsync(handle: Any) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        strike.hook("fsync", (number,))

    return fsync


def counted_connect(strike: Strike) -> Callable[..., Any]:
    """Return what stands in for `sqlite3.connect`: each statement of a database is an operation."""
    connect = sqlite3.connect

    def connected(*given: Any, **named: Any) -> Any:
        database = connect(*given, **named)
        database.set_trace_callback(lambda _: strike.hook("statement", (strike.folder,)))
        return database

    return connected


def patch(places: str) -> None:
    """Set what `module:NAME=number …` says, so that small inputs have many parts; or to another `module:NAME`."""
    for each in places.split():
        place, _, value = each.partition("=")
        module, _, name = place.partition(":")
        other, _, its = value.partition(":")
        setattr(import_module(module), name, getattr(import_module(other), its) if its else int(value))


def main() -> None:
    """Run the command; its exit code is the process's."""
    fault, when, *arguments = sys.argv[1:]
    folder, notes = Path.cwd(), Path(os.environ["NOTES"])
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with Ctrl-C ignored
    notes.with_suffix(".pid").write_text(str(os.getpid()))
    patch(os.environ.get("PATCH", ""))
    strike = Strike(fault, int(when), folder)
    os.fsync = counted_fsync(strike)  # type: ignore[assignment]
    sqlite3.connect = counted_connect(strike)
    sys.addaudithook(strike.hook)
    from nerbert.cli import main as command

    try:
        command(arguments)
    finally:
        notes.with_suffix(".count").write_text(f"{strike.count} {strike.renamings}")


if __name__ == "__main__":
    main()
