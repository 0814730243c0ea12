"""Where bytes come from: a file, standard input, or an address that fsspec understands.

A `Source` is a name, small enough to travel to workers, which open it on their own. Whether an address can be read
from any place is tried, not believed. What fsspec's many file systems raise has no common kind, so every error of
theirs becomes one InputError; the price is that a fault of ours in there would look like one of the net's.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from nerbert.corpus.packed import DAMAGED
from nerbert.errors import InputError, MissingExtra, NerbertError, need

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

STDIN = "-"
_SECRETS = re.compile(r"(?<=://)[^/@\s]*@|\?[^\s'\")]*")
_EDGE = 1 << 20
_TELLS_CHANGE = re.compile(r"etag|md5|modified|version|checksum|digest|mtime|generation", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
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
                with files.open(path, "rb") as stream:
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
        files, path = self._remote()
        with self.faults():
            http = {"block_size": 0} if "https" in files.protocol else {}
            return cast("IO[bytes]", _Careful(self, files.open(path, "rb", **http)))

    def open_at(self, start: int) -> IO[bytes]:
        """Open a source that seeks, at a place."""
        with self.faults():
            if not self.remote:
                stream: Any = Path(self.place).open("rb", buffering=0)  # noqa: SIM115
            else:
                files, path = self._remote()
                stream = _Careful(self, files.open(path, "rb", cache_type="readahead"))
            stream.seek(start)
            return cast("IO[bytes]", stream)

    def identity(self) -> dict[str, Any]:
        """What changes when the content does, as far as can be known without reading it all."""
        if self.remote:
            told = {key: str(value) for key, value in sorted(self._info().items()) if _TELLS_CHANGE.search(key)}
            return {"address": hashlib.sha256(self.place.encode()).hexdigest(), "size": self.size, **told}
        if self.size is None:
            return {"name": self.name}
        state = Path(self.place).stat()
        return {"name": self.name, "size": state.st_size, "changed": state.st_mtime_ns, "edges": self._edges()}

    @contextmanager
    def faults(self) -> Iterator[None]:
        """What reading raises, as one line."""
        try:
            yield
        except NerbertError:
            raise
        except DAMAGED as error:
            raise InputError(f"{self}: compressed data is cut off or damaged: {error}; fetch it again") from error
        except OSError as error:
            what = error.strerror or self._tell(error)
            raise InputError(f"{self}: can't be read: {what}; check the path and fetch it again") from error
        except Exception as error:
            if not self.remote:
                raise
            what = f"{type(error).__name__} {self._tell(error)}"
            raise InputError(f"{self}: can't be read: {what}; check address and net, and run again") from error

    def _tell(self, error: Exception) -> str:
        return _SECRETS.sub("", str(error)) if self.remote else str(error)

    def _edges(self) -> str:
        with self.faults(), self.open_at(0) as stream:
            found = hashlib.sha256(stream.read(_EDGE))
            stream.seek(max(0, (self.size or 0) - _EDGE))
            found.update(stream.read(_EDGE))
        return found.hexdigest()

    def _info(self) -> dict[str, Any]:
        files, path = self._remote()
        with self.faults():
            return dict(files.info(path))

    def _remote(self) -> tuple[Any, str]:
        """The file system and the path in it."""
        need("remote", "fsspec", *(["aiohttp"] if self.place.startswith("http") else []))
        from fsspec.core import url_to_fs

        with self.faults():
            try:
                files, path = url_to_fs(self.place)
            except ImportError as error:
                raise MissingExtra(f"{self}: {error}") from error
            return files, path


class _Careful(RawIOBase):
    """A remote file whose faults, of whatever kind, are InputErrors."""

    def __init__(self, source: Source, stream: Any) -> None:
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

    def seek(self, place: int, whence: int = 0, /) -> int:
        """Go to a place."""
        return int(self._stream.seek(place, whence))

    def close(self) -> None:
        """Close the remote file too."""
        if not self.closed:
            self._stream.close()
        super().close()
