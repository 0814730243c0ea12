"""Find files below a path, and open them decompressed: plain, bz2, gzip or xz, recognised by their first bytes.

A `Source` is a file, standard input or a URL, which each worker opens itself.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from nerbert.errors import InputError, NerbertError, refused
from nerbert.sources.remote import facts_of, file_system, open_buffered, without_secrets

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN = "-"

BOM = b"\xef\xbb\xbf"
BZ2_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""The beginning of a bz2 stream: its header and that of its first block, or its trailer if it is empty."""
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""Errors for compressed data that is truncated or damaged; bz2 raises OSError too."""
_MAGIC: tuple[tuple[str, bytes, re.Pattern[bytes], Callable[[IO[bytes]], object]], ...] = (
    ("bz2", b"BZh", BZ2_STREAM, bz2.BZ2File),
    ("gzip", b"\x1f\x8b", re.compile(rb"\x1f\x8b\x08"), lambda raw: gzip.GzipFile(fileobj=raw)),
    ("xz", b"\xfd7zX", re.compile(rb"\xfd7zXZ\x00"), lzma.LZMAFile),
)
"""Name, first bytes, whole header and decompressor of each compression."""
_LONGEST_MAGIC = 16
_BLOCK = 4 << 20
_EDGE = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file: its path, its name relative to the given path, and whether the file itself was given. The name can always
    be written in UTF-8: other bytes are escaped (`\\udcff`).
    """

    path: Path
    name: str
    direct: bool


def detect_packing(start: bytes) -> str:
    """Return the compression of a file that begins with `start`: "bz2", "gzip", "xz", or "" for none."""
    return next((name for name, begin, _, _ in _MAGIC if start.startswith(begin)), "")


def unpack_stream(stream: "BufferedReader[Any]", *, or_text: bool = True) -> IO[bytes]:
    """Return the bytes of `stream`, which must be at its beginning, decompressed if necessary. A text could begin with
    `BZh`, so with `or_text` a compression is recognised by its whole header. Without it, the first bytes suffice, and a
    damaged header is reported as damage.
    """
    start = stream.peek(_LONGEST_MAGIC)
    for _, begin, head, unpack in _MAGIC:
        if head.match(start) if or_text else start.startswith(begin):
            return cast("IO[bytes]", unpack(stream))
    return stream


@contextmanager
def open_plain(path: Path) -> Iterator[IO[bytes]]:
    """Open a file's bytes, decompressed if necessary; raise InputError with the position if the file is damaged."""
    with refused(f"{path}: can't be read", of=OSError), path.open("rb") as raw:
        try:
            yield unpack_stream(raw)
        # bz2 raises OSError for damaged data
        except (*DAMAGED, OSError) as error:
            fault = f"cut off or damaged near byte {raw.tell()}: {error}"
            raise InputError(f"{path}: {fault}; fetch it again") from error


def read_blocks(path: Path, longest: int, too_long: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, each with the number of its first line.

    A line that is more than a block longer than `longest` is left out; `too_long` is called with its number.
    """
    with open_plain(path) as stream:
        number = 1
        kept = stream.read(len(BOM)).removeprefix(BOM)
        lost = False
        while block := stream.read(_BLOCK):
            if lost:
                begin = block.find(b"\n") + 1
                block, number, lost = (block[begin:], number + 1, False) if begin else (b"", number, True)
            data = kept + block
            end = data.rfind(b"\n") + 1
            if end:
                yield number, data[:end]
                number += data.count(b"\n", 0, end)
            kept = data[end:]
            if len(kept) > longest:
                too_long(number)
                kept, lost = b"", True
        if kept:
            yield number, kept


def find_files(path: Path) -> Iterator[FoundFile]:
    """Yield `path`, or the files below it sorted by name, without hidden ones; links to folders aren't followed."""
    if path.is_dir():
        yield from (FoundFile(file, writable(file.relative_to(path).as_posix()), direct=False) for file in _walk(path))
    elif path.is_file():
        yield FoundFile(path, writable(path.name), direct=True)
    else:
        raise InputError(f"{path}: {'not a file or a folder' if path.exists() else 'no such file or folder'}")


def find_all(paths: Sequence[Path]) -> list[FoundFile]:
    """Return the files at all `paths`, in order.

    If two different files share a name, every file is named by its path relative to their common folder.
    """
    files = [(file, file.path.parent.resolve() / file.path.name) for path in paths for file in find_files(path)]
    holders: dict[str, set[Path]] = {}
    for file, full in files:
        holders.setdefault(file.name, set()).add(full)
    if all(len(paths) == 1 for paths in holders.values()):
        return [file for file, _ in files]
    common = os.path.commonpath([full.parent for _, full in files])
    return [replace(file, name=writable(full.relative_to(common).as_posix())) for file, full in files]


def writable(name: object) -> str:
    """Return a file's name in a form that can be written in UTF-8."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _walk(folder: Path) -> Iterator[Path]:
    for entry, is_folder in entries_of(folder):
        if entry.name.startswith("."):
            continue
        # Links to folders can form a circle
        if is_folder and not entry.is_symlink():
            yield from _walk(entry)
        else:
            yield entry


def entries_of(folder: Path) -> list[tuple[Path, bool]]:
    """Return the entries of a folder, sorted by name, and whether each is a folder; raise InputError on failure."""
    remedy = "name its files, or get the right to list and enter it"
    with refused(f"{folder}: can't be listed", of=OSError, remedy=remedy):
        return [(entry, entry.is_dir()) for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


@dataclass(frozen=True, slots=True)
class Source:
    """A file, a URL, or `-` for standard input; not opened."""

    place: str

    def __str__(self) -> str:
        """Return the path or URL for messages, without passwords and signatures."""
        return "standard input" if self.pipe else without_secrets(self.place) if self.remote else self.place

    @property
    def pipe(self) -> bool:
        """True for standard input."""
        return self.place == STDIN

    @property
    def remote(self) -> bool:
        """True for a URL."""
        return "://" in self.place

    @property
    def name(self) -> str:
        """The last part of the path or URL, for manifests; it can be written in UTF-8 (`writable`)."""
        return writable(Path(urlsplit(self.place).path if self.remote else self.place).name)

    @property
    def size(self) -> int | None:
        """Size of a regular or remote file in bytes; None if unknown."""
        if self.remote:
            size: int | None = facts_of(self.place)["size"]
            return size
        return None if self.pipe or not Path(self.place).is_file() else Path(self.place).stat().st_size

    @property
    def seeks(self) -> bool:
        """True if other processes can open it and read from any offset; for URLs, this takes a request."""
        size = self.size
        if not self.remote or size is None:
            return size is not None
        files, path = file_system(self.place)
        # A file system in memory exists only in this process
        if "memory" in files.protocol:
            return False
        # Some servers say that they can send parts, and don't
        try:
            with self.faults(), files.open(path, "rb", cache_type="none") as stream:
                stream.seek(size // 2)
                return bool(stream.read(1)) or not size
        except InputError:
            return False

    def open(self, start: int = 0, stop: int | None = None) -> IO[bytes]:
        """Open for reading from an offset, which is 0 if it can't seek; the caller reads all bytes before `stop`."""
        if self.pipe:
            return open(0, "rb", closefd=False)
        with self.faults():
            if self.remote:
                return open_buffered(self.place, start, stop)
            stream = Path(self.place).open("rb", buffering=0)  # noqa: SIM115
            if start:
                stream.seek(start)
            return cast("IO[bytes]", stream)

    def identity(self) -> dict[str, Any]:
        """Return facts that identify its content, as far as possible without reading all of it.

        They include neither a file's time, which a copy changes, nor the signature in a URL.
        """
        if self.remote:
            facts, (files, path) = facts_of(self.place), file_system(self.place)
            marks = {name: facts[name] for name in ("ETag", "Last-Modified") if facts.get(name)}
            # Other protocols have no such headers, but a token that changes with the content
            if "http" not in files.protocol:
                marks = {"version": files.ukey(path)}
            return {"address": hashlib.sha256(str(self).encode()).hexdigest(), "size": facts["size"], **marks}
        size = self.size
        if size is None:
            return {"name": self.name}
        # Hashing all of a large dump would take as long as reading it
        with self.faults(), self.open() as stream:
            edges = hashlib.sha256(stream.read(_EDGE))
            stream.seek(max(0, size - _EDGE))
            edges.update(stream.read(_EDGE))
        return {"name": self.name, "size": size, "edges": edges.hexdigest()}

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn any reading error into an InputError of one line."""
        try:
            yield
        except NerbertError:
            raise
        except DAMAGED as error:
            raise InputError(f"{self}: compressed data is cut off or damaged: {error}; fetch it again") from error
        # fsspec's protocols raise errors of their own
        except Exception as error:
            if self.remote:
                reason = without_secrets(f"{type(error).__name__} {error}").strip()
                fault = f"can't be read: {reason}; check address and network, and run again"
            elif isinstance(error, OSError):
                fault = f"can't be read: {error.strerror or error}; check the path and fetch it again"
            else:
                raise
            raise InputError(f"{self}: {fault}") from error


class HashingFile(RawIOBase):
    """A binary file that is hashed while it is read, so that its digest doesn't need a second pass.

    With a `length`, it ends after that number of bytes, and raises InputError that names `name` if there are fewer.
    """

    def __init__(self, stream: IO[bytes], length: int | None = None, name: object = "") -> None:
        self._stream, self._length, self._name = stream, length, name
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`; return the number of bytes read."""
        view = memoryview(buffer)
        left = len(view) if self._length is None else min(len(view), self._length - self.size)
        data = self._stream.read(left)
        # A part that is shorter than announced has changed since it was measured
        if not data and left and self._length is not None:
            raise InputError(f"{self._name}: ends {self._length - self.size} bytes early: did it change? Run again")
        view[: len(data)] = data
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def digest(self) -> str:
        """Read the rest, and return the SHA-256 of the whole file."""
        while self.read(_EDGE):
            pass
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the source, too."""
        if not self.closed:
            self._stream.close()
        super().close()
