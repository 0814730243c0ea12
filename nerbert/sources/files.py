"""Find files below a path, and open them unpacked: plain, bz2, gzip or xz, recognised by their first bytes.

Lines come in large blocks of bytes, which the reader splits and decodes one by one: a bad byte costs one row.
"""

import bz2
import gzip
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

from nerbert.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

BOM = b"\xef\xbb\xbf"
BZ2_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""How a bz2 stream begins: its head and that of its first block, or of its end if it is empty."""
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading raises where packed data is cut off or damaged; bz2 raises OSError too."""
_MAGIC: tuple[tuple[str, bytes, re.Pattern[bytes], Callable[[IO[bytes]], object]], ...] = (
    ("bz2", b"BZh", BZ2_STREAM, bz2.BZ2File),
    ("gzip", b"\x1f\x8b", re.compile(rb"\x1f\x8b\x08"), lambda raw: gzip.GzipFile(fileobj=raw)),
    ("xz", b"\xfd7zX", re.compile(rb"\xfd7zXZ\x00"), lzma.LZMAFile),
)
"""How each kind begins, its whole head, and what unpacks it."""
_LONGEST_MAGIC = 16
_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file: where it is, its name within the path that was given, and whether it was named itself.

    The name can be written in UTF-8 whatever the file system holds: other bytes are escaped (`\\udcff`).
    """

    path: Path
    name: str
    direct: bool


def packing(start: bytes) -> str:
    """Return how a file that begins with `start` is packed: "bz2", "gzip", "xz", or "" for not at all."""
    return next((name for name, begin, _, _ in _MAGIC if start.startswith(begin)), "")


def unpacked(stream: "BufferedReader[Any]", *, or_text: bool = True) -> IO[bytes]:
    """Return the bytes of `stream`, which must be at its beginning, unpacked where they are packed.

    A text could begin with `BZh`, so with `or_text` a kind is recognised by its whole head. Without it the beginning
    is enough, and a damaged head is reported as damage.
    """
    start = stream.peek(_LONGEST_MAGIC)
    for _, begin, head, unpack in _MAGIC:
        if head.match(start) if or_text else start.startswith(begin):
            return cast("IO[bytes]", unpack(stream))
    return stream


class ReadFile(RawIOBase):
    """A binary file made of a function that returns the next bytes, at most so many, and none at the end."""

    def __init__(self, read: Callable[[int], bytes], close: Callable[[], object]) -> None:
        self._read, self._close = read, close

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill `buffer`; return the number of bytes read."""
        view = memoryview(buffer)
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close what is read, too."""
        if not self.closed:
            self._close()
        super().close()


@contextmanager
def open_plain(path: Path) -> Iterator[IO[bytes]]:
    """Open a file's bytes, unpacked where it is packed; damage is an InputError that says where."""
    try:
        with path.open("rb") as raw:
            try:
                yield unpacked(raw)
            except (*DAMAGED, OSError) as error:
                place = f"{path}: cut off or damaged near byte {raw.tell()}"
                raise InputError(f"{place}: {error}; fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error


def read_blocks(path: Path, longest: int, too_long: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, each with the number of its first line.

    A line that is more than a block longer than `longest` is left out; `too_long` is called with its number.
    """
    with open_plain(path) as stream:
        number, kept, lost = 1, stream.read(len(BOM)).removeprefix(BOM), False
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
    """Yield `path`, or the files below it sorted by name, without hidden ones; a link to a folder isn't followed."""
    if path.is_dir():
        yield from (FoundFile(file, writable(file.relative_to(path).as_posix()), direct=False) for file in _below(path))
    elif path.is_file():
        yield FoundFile(path, writable(path.name), direct=True)
    else:
        raise InputError(f"{path}: {'not a file or a folder' if path.exists() else 'no such file or folder'}")


def find_all(paths: Sequence[Path]) -> list[FoundFile]:
    """Return the files at all `paths`, in order.

    If two different files share a name, every file is named by its path below the folder that is common to all.
    """
    files = [(found, found.path.parent.resolve() / found.path.name) for path in paths for found in find_files(path)]
    holders: dict[str, set[Path]] = {}
    for found, whole in files:
        holders.setdefault(found.name, set()).add(whole)
    if all(len(each) == 1 for each in holders.values()):
        return [found for found, _ in files]
    common = os.path.commonpath([whole.parent for _, whole in files])
    return [replace(found, name=writable(whole.relative_to(common).as_posix())) for found, whole in files]


def writable(name: object) -> str:
    """Return a file's name so that it can be written in UTF-8."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: can't be listed: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _below(entry)
        else:
            yield entry
