"""Where the bytes of an input come from: a file, standard input, or an address.

A `Source` is a name, small enough to travel to workers, which open it on their own. http and https go through our own
client; other addresses (`s3://…`) through fsspec, which retries by its file systems' own rules. What those raise has no
common kind, so every error of theirs becomes one InputError; a fault of ours in there would look like one of the net's.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from nerbert.errors import InputError, MissingExtra, NerbertError, need
from nerbert.sources.files import DAMAGED, ReadFile
from nerbert.sources.http import Missing, open_http, probe, without_secrets

STDIN = "-"
_EDGE, _BLOCK = 1 << 20, 1 << 20
_MARKS = re.compile(r"etag|md5|modified|version|checksum|digest|mtime|generation", re.IGNORECASE)
"""What a file system's facts are called that change with the content."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, an address, or `-`; nothing is open."""

    place: str

    def __str__(self) -> str:
        """Return the place as messages name it: without passwords and signatures."""
        return "standard input" if self.pipe else without_secrets(self.place) if self.remote else self.place

    @property
    def pipe(self) -> bool:
        """Whether it is standard input."""
        return self.place == STDIN

    @property
    def remote(self) -> bool:
        """Whether it is an address."""
        return "://" in self.place

    @property
    def name(self) -> str:
        """The last part of the place, as manifests name it."""
        return Path(urlsplit(self.place).path if self.remote else self.place).name

    @property
    def size(self) -> int | None:
        """Bytes of a regular or remote file; None if that can't be known."""
        return self._look()[0]

    @property
    def seeks(self) -> bool:
        """Whether other processes can open it and read from any place; servers are tried."""
        size, seeks, _ = self._look()
        return seeks and (self._web or not self.remote or self._reads_at((size or 0) // 2, size))

    def open(self, start: int = 0, stop: int | None = None) -> IO[bytes]:
        """Open for reading from a place on, 0 if it doesn't seek; of what lies before `stop` all is wanted for sure."""
        if self.pipe:
            return open(0, "rb", closefd=False)
        if self.remote:
            file = open_http(self.place, start, stop) if self._web else self._open_fsspec(start)
            return cast("IO[bytes]", file)
        with self.faults():
            stream = Path(self.place).open("rb", buffering=0)  # noqa: SIM115
            if start:
                stream.seek(start)
            return cast("IO[bytes]", stream)

    def identity(self) -> dict[str, Any]:
        """Return what tells its content from another's, as far as can be known without reading it all.

        Neither a file's time, which a copy changes, nor an address's signature is part of it.
        """
        size, _, marks = self._look()
        if self.remote:
            return {"address": hashlib.sha256(str(self).encode()).hexdigest(), "size": size, **marks}
        return {"name": self.name} | ({} if size is None else {"size": size, "edges": self._edges(size)})

    def stamp(self) -> object:
        """Return what changes as soon as someone writes to it, as far as that is known."""
        if self.remote:
            return self.identity()
        if self.size is None:
            return None
        state = Path(self.place).stat()
        return state.st_ino, state.st_size, state.st_mtime_ns

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn whatever reading raises into one line."""
        try:
            yield
        except Missing as error:
            raise InputError(f"{error}; check the address") from error
        except NerbertError:
            raise
        except DAMAGED as error:
            raise InputError(f"{self}: compressed data is cut off or damaged: {error}; fetch it again") from error
        except Exception as error:
            if self.remote:
                reason = without_secrets(f"{type(error).__name__} {error}").strip()
                what = f"can't be read: {reason}; check address and net, and run again"
            elif isinstance(error, OSError):
                what = f"can't be read: {error.strerror or error}; check the path and fetch it again"
            else:
                raise
            raise InputError(f"{self}: {what}") from error

    @property
    def _web(self) -> bool:
        return self.place.lower().startswith(("http://", "https://"))

    def _look(self) -> tuple[int | None, bool, dict[str, str]]:
        """Return the size, whether it seeks, and the marks that change with the content, as they are now."""
        if self._web:
            with self.faults():
                version, parts = probe(self.place)
            marks = {"ETag": version.etag, "Last-Modified": version.modified}
            return version.size, parts, {name: mark for name, mark in marks.items() if mark}
        if not self.remote:
            file = Path(self.place)
            size = file.stat().st_size if not self.pipe and file.is_file() else None
            return size, size is not None, {}
        files, path = self._fsspec()
        with self.faults():
            files.invalidate_cache()
            facts = files.info(path)
            size = facts["size"] if isinstance(facts.get("size"), int) else None
            marks = {key: str(value) for key, value in sorted(facts.items()) if _MARKS.search(key)}
            return size, size is not None and "memory" not in files.protocol, marks

    def _edges(self, size: int) -> str:
        with self.faults(), self.open() as stream:
            found = hashlib.sha256(stream.read(_EDGE))
            stream.seek(max(0, size - _EDGE))
            found.update(stream.read(_EDGE))
        return found.hexdigest()

    def _open_fsspec(self, start: int = 0) -> ReadFile:
        """Open what fsspec opens; its faults, of whatever kind, are InputErrors."""
        files, path = self._fsspec()
        with self.faults():
            stream = files.open(path, "rb", cache_type="none")
            if start:
                stream.seek(start)

        def read(length: int) -> bytes:
            with self.faults():
                return bytes(stream.read(length))

        return ReadFile(read, stream.close)

    def _reads_at(self, place: int, size: int | None) -> bool:
        """Return whether fsspec reads a byte at a place; a size alone doesn't say so."""
        try:
            with self._open_fsspec(place) as stream:
                return len(stream.read(1)) == min(1, size or 0)
        except InputError:
            return False

    def _fsspec(self) -> tuple[Any, str]:
        """Return the file system and the path in it."""
        need("remote", "fsspec")
        from fsspec.core import url_to_fs

        with self.faults():
            try:
                files, path = url_to_fs(self.place)
            except ImportError as error:
                raise MissingExtra(f"{self}: {error}") from error
            return files, path


class HashingFile(ReadFile):
    """A binary file that is hashed as it is read, so that an input's digest costs no second reading."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(self._hashed, stream.close)
        self._stream, self._hash, self.size = stream, hashlib.sha256(), 0

    def digest(self) -> str:
        """Return the SHA-256 of the whole file: what is left unread is read first."""
        while self.read(_BLOCK):
            pass
        return self._hash.hexdigest()

    def _hashed(self, length: int) -> bytes:
        data = self._stream.read(length)
        self._hash.update(data)
        self.size += len(data)
        return data
