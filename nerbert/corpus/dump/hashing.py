"""SHA-256 of an input without reading it twice: as it is read, or in a thread beside those who read parts of it."""

import hashlib
from collections.abc import Sequence
from io import RawIOBase
from itertools import pairwise
from threading import Event, Thread
from typing import IO, TYPE_CHECKING

from nerbert.corpus.dump.inputs import DumpInput
from nerbert.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_BLOCK = 1 << 20
_NOTHING = hashlib.sha256().hexdigest()


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
    """SHA-256 of a local file and of its parts, which end at `stops`, in a thread while others work.

    So what the others have read can be held against a second reading; the price is that each byte is hashed twice here.
    """

    def __init__(self, source: DumpInput, stops: Sequence[int] = ()) -> None:
        self._source, self._stop, self._stops = source, Event(), stops
        self._whole, self._parts = hashlib.sha256(), list[str]()
        self._problem: InputError | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait for the digest; raise what reading raised."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._whole.hexdigest()

    def parts(self) -> list[str]:
        """Wait for the digests of the parts."""
        self.result()
        return self._parts

    def stop(self) -> None:
        """Give up."""
        self._stop.set()

    def _run(self) -> None:
        try:
            with self._source.faults(), self._source.open_at(0) as stream:
                for start, stop in pairwise((0, *self._stops)):
                    self._parts.append(self._hash(stream, stop - start))
                while self._hash(stream, _BLOCK) != _NOTHING:
                    pass
        except InputError as error:
            self._problem = error

    def _hash(self, stream: IO[bytes], length: int) -> str:
        """SHA-256 of the next bytes, which count for the whole too."""
        found = hashlib.sha256()
        while length and not self._stop.is_set() and (data := stream.read(min(length, _BLOCK))):
            length -= len(data)
            found.update(data)
            self._whole.update(data)
        return found.hexdigest()
