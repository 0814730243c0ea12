"""One file from an address to the disk, through dropped connections and killed runs, never of two versions.

What has come lies in `.NAME.partial`, and beside it `.NAME.partial.json` says of which version it is: the server's
ETag, else its Last-Modified where that is sure. Only the rest of that version is asked for (Range with If-Range); a
server that sends the whole, another range or another version is believed, and the file begun anew. What was written
before the last full `step` was forced to the disk; a new run trusts only that, so that a loss of power leaves no hole.
The price: up to one step is fetched twice after a kill, and without ETag and date a stopped transfer begins anew.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

from nerbert.artifacts import read_json, write_json
from nerbert.errors import InputError, OutputExists
from nerbert.fetch.web import Passing, Patience, Tries, ask, read_block
from nerbert.terminal import throughput

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of an address from another; `sure` if two contents can't share the date."""

    address: str
    etag: str = ""
    modified: str = ""
    sure: bool = False
    size: int | None = None

    @property
    def condition(self) -> str:
        """What If-Range asks for; "" if the version can't be asked for (RFC 9110, 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified if self.sure and not self.etag else ""


class Partial:
    """What has come of a file, and of which version it is."""

    def __init__(self, target: Path, address: str, step: int) -> None:
        self.path = target.with_name(f".{target.name}.partial")
        self._side = self.path.with_name(f"{self.path.name}.json")
        self._address, self._step = address, step
        for path in (self.path, self._side):
            if path.is_symlink():
                raise OutputExists(
                    f"{path}: is a link, so it is left alone; delete it by hand, or choose another folder"
                )
        self.version = self._read_side()
        if self.version.condition:
            self._cut_to_step()
        else:
            self.drop()

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, version: Version) -> None:
        """Forget what has come; what comes now is of this version."""
        self.path.unlink(missing_ok=True)
        self.version = version
        write_json(self._side, asdict(version))

    def drop(self) -> None:
        """Forget what has come, and its version."""
        self.path.unlink(missing_ok=True)
        self._side.unlink(missing_ok=True)
        self.version = Version(self._address)

    def finish(self, draft: Path) -> None:
        """Give the file away; it is whole."""
        self.path.replace(draft)
        self._side.unlink(missing_ok=True)

    @contextmanager
    def adding(self) -> Iterator[IO[bytes]]:
        """Open for more; what was added is on the disk when the block ends well."""
        with self.path.open("ab", buffering=0) as file:
            yield file
            os.fsync(file.fileno())

    def _cut_to_step(self) -> None:
        """Keep what was on the disk before the last step began."""
        if self.path.exists():
            os.truncate(self.path, max(0, self.size - 1) // self._step * self._step)

    def _read_side(self) -> Version:
        with suppress(InputError, TypeError):
            version = Version(**read_json(self._side, 1 << 16))
            texts = (version.address, version.etag, version.modified)
            size = version.size is None or type(version.size) is int
            if version.address == self._address and all(isinstance(each, str) for each in texts) and size:
                return version
        return Version(self._address)


def transfer(partial: Partial, address: str, limit: int, patience: Patience, name: str) -> None:
    """Bring `partial` to its full size; raise Missing or InputError where that can't be done."""
    tries = Tries(patience)
    while True:
        before = partial.size
        try:
            _attempt(partial, address, limit, patience, name)
        except Passing as fault:
            if fault.anew:
                partial.drop()
            elif partial.size - before >= patience.progress:
                tries.reset()
            tries.pause(address, fault)
        else:
            return


def _attempt(partial: Partial, address: str, limit: int, patience: Patience, name: str) -> None:
    """Ask once for what is missing; Passing if some of it still is."""
    have, condition = partial.size, partial.version.condition
    have = have if condition else 0
    headers = {"Range": f"bytes={have}-", "If-Range": condition} if have else {}
    with ask(address, patience, headers) as answer:
        end, size = _place(partial, address, answer, have)
        have = partial.size
        if size is not None and size > limit:
            partial.drop()
            raise InputError(f"{address}: {size} bytes are more than the {limit} allowed for such a file; not fetched")
        with partial.adding() as file:
            _copy(answer, file, have, end if end is not None else limit + 1, name, patience.step)
    if partial.size > limit:
        partial.drop()
        raise InputError(f"{address}: more than the {limit} bytes allowed for such a file; not kept")
    if size is not None and partial.size < size:
        raise Passing(f"cut off after {partial.size:,} of {size:,} bytes")


def _place(partial: Partial, address: str, answer: HTTPResponse, have: int) -> tuple[int | None, int | None]:
    """Where what comes will end, and the whole file; None for what only the end of the stream tells.

    `partial` is made fit for what comes.
    """
    length, headers = answer.length, answer.headers
    if answer.status == 200:
        if length is None and not answer.chunked:
            raise InputError(f"{address}: the server doesn't say how long the file is; try another --mirror")
        partial.begin(_version(address, headers, length))
        return length, length
    if answer.status != 206 or not have:
        raise InputError(f"{address}: the server answers with status {answer.status}; check the address")
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    first, last, size = map(int, match.groups()) if match else (-1, -1, -1)
    now, then = _version(address, headers, size), partial.version
    same = now.etag in ("", then.etag) and (now.etag or now.modified in ("", then.modified))
    fits = first == have <= last < size and size == (then.size or size) and length in (None, last + 1 - first)
    if not (same and fits):
        raise Passing("the server sent another part of the file than it was asked for", anew=True)
    return last + 1, size


def _version(address: str, headers: Message, size: int | None) -> Version:
    etag, modified = (headers.get(name, "").strip()[:1000] for name in ("ETag", "Last-Modified"))
    sure = False
    with suppress(TypeError, ValueError, OverflowError):
        sure = (parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(modified)).total_seconds() >= 1
    return Version(address, etag, modified, sure, size)


def _copy(answer: HTTPResponse, file: IO[bytes], have: int, end: int, name: str, step: int) -> None:
    """Write what comes up to `end`, and force each full step to the disk before going on."""
    size = answer.length
    with throughput("blocks", None if size is None else have + size) as bar:
        bar.advance(0, name, size=have, before=True)
        while have < end and (block := read_block(answer, min(end - have, step - have % step))):
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
            have += len(block)
            if have % step == 0:
                os.fsync(file.fileno())
            bar.advance(1, name, size=len(block))
