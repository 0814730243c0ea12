"""Where bytes come from: a file, standard input, or an address that fsspec understands.

A `Source` is a name, small enough to travel to workers, which open it on their own. Whether an address can be read
from any place is tried, not believed. What fsspec's many file systems raise has no common kind, so every error of
theirs becomes one InputError; the price is that a fault of ours in there would look like one of the net's. What is
read from a known place of an address is asked for again when the net fails; a stream isn't, since it can't go back.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from time import sleep
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from nerbert.corpus.dump.packed import DAMAGED
from nerbert.errors import InputError, MissingExtra, NerbertError, need

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

STDIN = "-"
_SECRETS = re.compile(r"(?<=://)[^/\s]*@|\?[^\s'\")]*")
_EDGE, _AHEAD = 1 << 20, 1 << 20
_WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts at a place of an address."""
_CONNECT, _SILENCE = 30, 120
"""Seconds that a web server may take to answer, and that it may be silent; a whole transfer may take days."""
_BUSY = frozenset({408, 429})
"""The only HTTP statuses below 500 that may be others a moment later."""
_TELLS_CHANGE = re.compile(r"etag|md5|modified|version|checksum|digest|mtime|generation", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DumpInput:
    """A file, an address, or `-`; nothing is open."""

    place: str

    def __str__(self) -> str:
        """The place as messages name it: without passwords and signatures."""
        if self.pipe:
            return "standard input"
        return _SECRETS.sub("", self.place) if self.remote else self.place

    @property
    def pipe(self) -> bool:
        """Whether it is standard input."""
        return self.place == STDIN

    @property
    def remote(self) -> bool:
        """Whether fsspec must open it."""
        return "://" in self.place

    @property
    def name(self) -> str:
        """The last part of the place, as manifests name it."""
        return Path(urlsplit(self.place).path if self.remote else self.place).name

    @property
    def size(self) -> int | None:
        """Bytes of a regular or remote file; None if that can't be known."""
        if self.remote:
            size = self._info().get("size")
            return size if isinstance(size, int) else None
        path = Path(self.place)
        return path.stat().st_size if not self.pipe and path.is_file() else None

    @property
    def seeks(self) -> bool:
        """Whether other processes can open it and read from any place."""
        size = self.size
        if not self.remote or size is None:
            return not self.remote and size is not None
        files, path = self._remote()
        if "memory" in files.protocol:
            return False
        with self.faults():
            try:
                with files.open(path, "rb", cache_type="none") as stream:
                    stream.seek(size // 2)
                    return len(stream.read(1)) == min(size, 1)
            except (ValueError, NotImplementedError):
                return False

    def open(self) -> IO[bytes]:
        """Open for reading from front to back."""
        if self.pipe:
            return open(0, "rb", closefd=False)
        if not self.remote:
            return Path(self.place).open("rb")
        with self.faults():
            http = {"block_size": 0} if self.place.startswith("http") else {}
            return cast("IO[bytes]", _Careful(self, self.open_remote(**http)))

    def open_at(self, start: int, stop: int = 0) -> IO[bytes]:
        """Open a source that seeks, at a place; what lies before `stop` is wanted for sure."""
        if self.remote:
            return cast("IO[bytes]", _Blocks(self, start, stop))
        with self.faults():
            stream = Path(self.place).open("rb", buffering=0)  # noqa: SIM115
            stream.seek(start)
            return cast("IO[bytes]", stream)

    def open_remote(self, **more: Any) -> Any:
        """What fsspec opens, with its own faults."""
        files, path = self._remote()
        return files.open(path, "rb", **more)

    def identity(self) -> dict[str, Any]:
        """What tells its content from another's, as far as can be known without reading it all.

        Neither a file's time, which a copy changes, nor an address's signature is part of it.
        """
        if self.remote:
            told = {key: str(value) for key, value in sorted(self._info().items()) if _TELLS_CHANGE.search(key)}
            return {"address": hashlib.sha256(str(self).encode()).hexdigest(), "size": self.size, **told}
        if self.size is None:
            return {"name": self.name}
        return {"name": self.name, "size": self.size, "edges": self._edges()}

    def stamp(self) -> object:
        """What changes as soon as someone writes to it, as far as that is known."""
        if self.remote:
            return self.identity()
        if self.size is None:
            return None
        state = Path(self.place).stat()
        return state.st_ino, state.st_size, state.st_mtime_ns

    @contextmanager
    def faults(self) -> Iterator[None]:
        """What reading raises, as one line."""
        try:
            yield
        except NerbertError:
            raise
        except DAMAGED as error:
            raise InputError(f"{self}: compressed data is cut off or damaged: {error}; fetch it again") from error
        except Exception as error:
            if self.remote:
                what = f"can't be read: {self._tell(error)}; check address and net, and run again"
            elif isinstance(error, OSError):
                what = f"can't be read: {error.strerror or error}; check the path and fetch it again"
            else:
                raise
            raise InputError(f"{self}: {what}") from error

    def _tell(self, error: Exception) -> str:
        """What the net says: the server's status, else the kind of error and what it says but for the address."""
        status, text = _status(error), _SECRETS.sub("", str(error))
        if status is not None:
            return f"the server answers with status {status}"
        cause = error.__cause__
        if text in ("", str(self)) and isinstance(cause, Exception):
            return self._tell(cause)
        return type(error).__name__ + (f" {text}" if text not in ("", str(self)) else "")

    def _edges(self) -> str:
        with self.faults(), self.open_at(0) as stream:
            found = hashlib.sha256(stream.read(_EDGE))
            stream.seek(max(0, (self.size or 0) - _EDGE))
            found.update(stream.read(_EDGE))
        return found.hexdigest()

    def _info(self) -> dict[str, Any]:
        files, path = self._remote()
        with self.faults():
            files.invalidate_cache()
            return dict(files.info(path))

    def _remote(self) -> tuple[Any, str]:
        """The file system and the path in it."""
        need("remote", "fsspec", *(["aiohttp"] if self.place.startswith("http") else []))
        from fsspec.core import url_to_fs

        with self.faults():
            try:
                files, path = url_to_fs(self.place, **self._options())
            except ImportError as error:
                raise MissingExtra(f"{self}: {error}") from error
            return files, path

    def _options(self) -> dict[str, Any]:
        """For the web: the only bound of time is on silence (by default no transfer may last over five minutes)."""
        if not self.place.startswith(("http://", "https://")):
            return {}
        from aiohttp import ClientTimeout

        return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)}}


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, if there is one."""
    found = [getattr(each, "status", None) for each in (error, error.__cause__)]
    return next((each for each in found if isinstance(each, int)), None)


def _may_pass(error: Exception) -> bool:
    """Whether what failed may succeed a moment later; fsspec makes FileNotFoundErrors of all that the net does."""
    status = _status(error)
    if status is not None:
        return status >= 500 or status in _BUSY
    lasting = (NerbertError, ValueError, NotImplementedError, FileNotFoundError, PermissionError)
    return not isinstance(error, lasting) or error.__cause__ is not None


class _Careful(RawIOBase):
    """A remote file whose faults, of whatever kind, are InputErrors."""

    def __init__(self, source: DumpInput, stream: Any) -> None:
        self._source, self._stream = source, stream

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill `buffer`; the number of bytes read."""
        view = memoryview(buffer)
        with self._source.faults():
            data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the remote file too."""
        if not self.closed:
            self._stream.close()
        super().close()


class _Blocks(RawIOBase):
    """A remote file from a place on, in blocks of our own; one that fails is asked for again, for a while.

    Blocks end at `stop`; what lies behind comes in pieces no larger than what is asked for, so that little is read in
    vain. (fsspec's own reading ahead takes five times what parts of 1 MiB hold.)
    """

    def __init__(self, source: DumpInput, start: int, stop: int) -> None:
        self._source, self._at, self._stop = source, start, stop
        self._block = b""
        self._stream: Any = None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill `buffer`; the number of bytes read."""
        view = memoryview(buffer)
        if not self._block:
            with self._source.faults():
                self._block = self._fetch(max(len(view), min(_AHEAD, self._stop - self._at)))
        data, self._block = self._block[: len(view)], self._block[len(view) :]
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the remote file too."""
        self._leave()
        super().close()

    def _fetch(self, length: int) -> bytes:
        waits = iter(_WAITS)
        while True:
            try:
                return self._try(length)
            except Exception as error:
                self._leave()
                wait = next(waits, None) if _may_pass(error) else None
                if wait is None:
                    raise
            sleep(wait)

    def _try(self, length: int) -> bytes:
        if self._stream is None:
            self._stream = self._source.open_remote(cache_type="none")
        self._stream.seek(self._at)
        data = bytes(self._stream.read(length))
        self._at += len(data)
        return data

    def _leave(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
