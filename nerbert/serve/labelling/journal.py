"""A file of JSON lines to which each action is added before it counts; a killed process loses none that was told."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nerbert.artifacts import writing
from nerbert.errors import InputError, at, os_refused
from nerbert.schema import json_line, parse_json


class Journal:
    """A journal, opened for one process; a last line that was cut by a crash doesn't count.

    Raise InputError for a file that can't be a journal; nothing of it is changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with os_refused(f"{path}: can't be opened"):
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            content = path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        if content[:6] not in (b'{"do":'[: len(content)], b""):
            raise InputError(f"{path}: isn't a journal of nerbert label; name another folder with -o")

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield all entries, the oldest first; raise InputError that names the line for what is none."""
        with os_refused(f"{self.path}: can't be read"), self.path.open("rb") as file:
            lines = file.read(self._size).splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            with at(self.path, number):
                entry: dict[str, Any] = parse_json(line, dict, "line")
                if not isinstance(entry.get("do"), str):
                    raise InputError("is no action; this file isn't a journal of nerbert label")
            yield entry

    def add(self, **entry: Any) -> None:
        """Add an entry and wait until it is on the disk; raise WriteError, with nothing added, if it can't be."""
        line = json_line(entry).encode() + b"\n"
        with writing(self.path):
            try:
                os.ftruncate(self._handle, self._size)
                if os.pwrite(self._handle, line, self._size) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._handle)
            except OSError:
                os.ftruncate(self._handle, self._size)
                raise
        self._size += len(line)
