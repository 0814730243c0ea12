"""SHA-256 of an input without reading it twice: as it is read, or in a thread beside those who read parts of it."""

import hashlib
from collections.abc import Callable
from io import RawIOBase
from threading import Event, Thread
from typing import IO, TYPE_CHECKING

from nerbert.corpus.inputs import Source
from nerbert.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_BLOCK = 1 << 20


class HashingFile(RawIOBase):
    """A binary file that is hashed as it is read, so that an input's digest costs no second reading."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill `buffer`; the number of bytes read."""
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file below too."""
        self._stream.close()
        super().close()

    def digest(self) -> str:
        """SHA-256 of the whole file: what is left unread is read first."""
        while self.read(_BLOCK):
            pass
        return self._hash.hexdigest()


class Beside:
    """A local file's SHA-256, taken in a thread while others work (hashlib lets them)."""

    def __init__(self, source: Source) -> None:
        self._source, self._stop = source, Event()
        self._result: Callable[[], str] = str
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait for the digest; raise what reading raised."""
        self._thread.join()
        return self._result()

    def stop(self) -> None:
        """Give up."""
        self._stop.set()

    def _run(self) -> None:
        try:
            with self._source.faults(), self._source.open_at(0) as stream:
                found = hashlib.sha256()
                while not self._stop.is_set() and (data := stream.read(_BLOCK)):
                    found.update(data)
            self._result = found.hexdigest
        except InputError as error:
            self._result = lambda problem=error: _raise(problem)  # type: ignore[misc]


def _raise(error: InputError) -> str:
    raise error
