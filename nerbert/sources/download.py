"""Download public files into a folder: resumed, checked, never of two versions.

`.fetched.json` (hidden, so that no reader of the folder sees it) says of each file where it came from, its size, ETag,
date and SHA-256. A rerun reads what is there again, and fetches only what is missing or damaged. A file of another
address, or one that isn't in the list, is never replaced. `latest` is looked up once a folder, so that a dump and its
index are of one date. The price: a rerun reads all bytes, and a new date needs a new folder.

What has come of a file is in `.NAME.partial`; `.NAME.partial.json` says of which version it is, by the server's ETag or
date, and how much of it was forced to the disk. Only the rest of that version is asked for; without ETag and sure date
a stopped download begins anew. A new run trusts only what was forced to the disk, so that a loss of power leaves no
hole; the price is that up to 64 MiB are fetched twice after a kill.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nerbert.artifacts import read_json, sha256_of, to_disk, write_json, writing
from nerbert.errors import InputError, OutputExists, SettingsError, WriteError
from nerbert.locks import held
from nerbert.sources.http import Answer, Missing, RetryPolicy, Version, read_small, stream
from nerbert.terminal import throughput

FETCHED = ".fetched.json"
"""What was fetched, beside the files."""
LATEST = "latest"
"""In a name and its address: the newest date, which the checksum list names."""
_SUM = re.compile(r"([0-9A-Fa-f]{40}) [ *]([\w.-]{1,255})")
_LONGEST_LIST = 16 << 20
_STEP = 64 << 20
"""So many bytes later what has come is forced to the disk again."""


@dataclass(frozen=True, slots=True)
class Address:
    """A public file: our name for it, what it holds, where it is, and how its content is recognised.

    `sums` is the address of a list of SHA-1 sums; `limit` is the most bytes that are taken; `advice` says what to try
    where the file isn't there.
    """

    name: str
    kind: str
    address: str
    limit: int
    begins: re.Pattern[bytes]
    advice: str
    sums: str = ""

    @property
    def undated(self) -> bool:
        """Whether it is the newest of several dates, and its checksum list says of which."""
        return bool(self.sums) and LATEST in self.name

    def dated(self, date: str) -> "Address":
        """Return the same file of a date."""
        name, address, sums = (each.replace(LATEST, date) for each in (self.name, self.address, self.sums))
        return replace(self, name=name, address=address, sums=sums)

    def at(self, mirror: str) -> "Address":
        """Return the same file on a mirror, "" for the public servers; a mirror has the same paths below it."""
        return replace(self, address=_mirrored(self.address, mirror), sums=_mirrored(self.sums, mirror))


def check_mirror(mirror: str) -> None:
    """Raise SettingsError for what can't replace scheme and host."""
    try:
        parts = urlsplit(mirror)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if mirror and not (good and mirror.isascii() and mirror.isprintable() and not re.search(r"[\s?#@]", mirror)):
        raise SettingsError(
            f"--mirror = {mirror!r}: must be http(s)://host, with a port and a folder if need be, but without a "
            "password or a query"
        )


def fetch(
    addresses: list[Address], output: Path | None, mirror: str = "", policy: RetryPolicy | None = None
) -> Iterator[str]:
    """Fetch what is missing in the folder `output`, and yield a line on each file.

    A file that the server doesn't have keeps no other from being fetched; it is an error at the end.
    """
    check_mirror(mirror)
    if output is None:
        raise SettingsError("--output: name the folder to fetch into, or pass --list")
    missing: list[Missing] = []
    try:
        with alone(output):
            folder = _Folder(output, mirror, policy or RetryPolicy())
            for address in addresses:
                try:
                    yield folder.fetch(address)
                except Missing as error:
                    missing.append(Missing(f"{error}; {address.advice}"))
    except (KeyboardInterrupt, SystemExit) as stop:
        stop.add_note("run the same command again to go on")
        raise
    if missing:
        raise InputError("; and ".join(map(str, missing)))


def list_lines(addresses: list[Address], mirror: str = "") -> Iterator[str]:
    """Yield what `fetch` would get, a line each: name, kind, the publisher's checksum, address, tabs between them."""
    check_mirror(mirror)
    for each in addresses:
        sums = "sha1" if each.sums else "no checksum"
        yield "\t".join((each.name, each.kind, sums, each.at(mirror).address))


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Make the folder and hold it against a second fetch; raise OutputExists if one runs."""
    with ExitStack() as stack:
        try:
            output.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(output, f"{output}: another run is fetching into it; wait for its end"))
        except OSError as error:
            raise WriteError(f"{output}: can't be made: {error.strerror}; choose another place") from error
        yield


@dataclass(slots=True)
class _Folder:
    """The folder, what it has by `.fetched.json`, and the checksum lists read in this run."""

    output: Path
    mirror: str
    policy: RetryPolicy
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    lists: dict[str, dict[str, str] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what an earlier run wrote down."""
        if (path := self.output / FETCHED).exists():
            found = read_json(path)
            parts = (found.get("files"), found.get("latest")) if isinstance(found, dict) else ()
            if not parts or not all(isinstance(each, dict) for each in (*parts, *dict(parts[0] or ()).values())):
                raise InputError(f"{path}: not what a fetch of nerbert's writes; delete it and the files beside it")
            self.files, self.latest = found["files"], found["latest"]

    def fetch(self, address: Address) -> str:
        """Fetch one file unless it is there and whole."""
        if address.undated:
            address = address.dated(self._date(address))
        target = self.output / address.name
        if not target.exists() and not target.is_symlink():
            return self._get(address, target)
        if _is_whole(self.files.get(address.name), address, target):
            return f"{address.name}: {target.stat().st_size:,} bytes, there already"
        return f"{self._get(address, target)}, in place of a damaged one"

    def _get(self, address: Address, target: Path) -> str:
        """Fetch, check, write down and name a file, in this order."""
        place = address.at(self.mirror)
        with writing(target):
            for stale in self.output.glob(f".{address.name}.[0-9]*.partial"):  # no other run is at work in the folder
                stale.unlink()
            wanted = self._published(place)
            partial = _Partial(target, place.address)
            _download(partial, place, self.policy)
            size, version = partial.size, partial.version
            sha256 = _check(partial, place, wanted)
            self.files[address.name] = {
                "address": address.address, "kind": address.kind, "size": size, "sha256": sha256, "etag": version.etag,
                "modified": version.modified, "published_checksum": " ".join(wanted) or None,
                "mirror": self.mirror or None,
            }  # fmt: skip
            self._write()
            partial.finish(target)
        how = f"{wanted[0]} as published" if wanted else "no checksum is published"
        return f"{address.name}: {size:,} bytes fetched, {how}"

    def _write(self) -> None:
        write_json(self.output / FETCHED, {"files": dict(sorted(self.files.items())), "latest": self.latest})

    def _published(self, place: Address) -> tuple[str, str] | tuple[()]:
        """Return algorithm and checksum by the publisher's list; nothing where there is none."""
        found = self._list(place)
        if found is None:
            return ()
        if place.name not in found:
            raise Missing(f"{place.address}: not in the checksum list beside it, so it may not be finished yet")
        return "sha1", found[place.name]

    def _date(self, address: Address) -> str:
        """Return the date that `latest` meant when this folder first asked; the list names it."""
        if not re.fullmatch(r"[0-9]{8}", str(self.latest.get(address.sums, ""))):
            name = re.compile(re.escape(address.name).replace(LATEST, "([0-9]{8})"))
            place = address.at(self.mirror)
            date = next((match[1] for each in self._list(place) or () if (match := name.fullmatch(each))), "")
            if not date:
                raise Missing(f"{place.sums}: no {address.name} there, the newest dump may not be finished yet")
            self.latest[address.sums] = date
            self._write()
        return self.latest[address.sums]

    def _list(self, place: Address) -> dict[str, str] | None:
        """Return the publisher's SHA-1 sums by name; None if there is no such list."""
        if not place.sums:
            return None
        if place.sums not in self.lists:
            try:
                text = read_small(place.sums, _LONGEST_LIST, self.policy).decode("ascii", "replace")
                lines = map(_SUM.fullmatch, text.splitlines())
                self.lists[place.sums] = {each[2]: each[1].lower() for each in lines if each}
            except Missing:
                self.lists[place.sums] = None
        return self.lists[place.sums]


class _Partial:
    """What has come of a file, and of which version it is."""

    def __init__(self, target: Path, address: str) -> None:
        self.path = target.with_name(f".{target.name}.partial")
        self._side, self._address = self.path.with_name(f"{self.path.name}.json"), address
        for path in (self.path, self._side):
            if path.is_symlink():
                raise OutputExists(
                    f"{path}: is a link, so it is left alone; delete it by hand, or choose another folder"
                )
        self.version, self._synced = Version(), 0
        with suppress(InputError, TypeError, KeyError, ValueError):
            found = read_json(self._side, 1 << 16)
            if found["address"] == address and all(isinstance(found[name], str) for name in ("etag", "modified")):
                size, sure = found["size"] and int(found["size"]), found["sure"] is True
                self._synced = int(found["synced"])
                self.version = Version(found["etag"], found["modified"], size, sure)
        if self.version.condition and 0 < self._synced <= min(self.size, self.version.size or self.size):
            os.truncate(self.path, self._synced)
        else:
            self.drop()

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, version: Version) -> None:
        """Forget what has come; what comes now is of this version."""
        self.path.write_bytes(b"")
        self.version = version
        self.sync()

    def drop(self) -> None:
        """Forget what has come, and its version."""
        self.path.unlink(missing_ok=True)
        self._side.unlink(missing_ok=True)
        self.version, self._synced = Version(), 0

    def add(self, block: bytes) -> None:
        """Append a block."""
        with self.path.open("ab") as file:
            file.write(block)
        if self.size - self._synced >= _STEP:
            self.sync()

    def sync(self) -> None:
        """Force what has come to the disk, and write down how much that is."""
        if self.path.exists():
            to_disk(self.path)
            self._synced = self.size
            write_json(self._side, {"address": self._address, **asdict(self.version), "synced": self._synced})

    def finish(self, target: Path) -> None:
        """Give the file, which is whole and on the disk, its name."""
        self.path.replace(target)
        self._side.unlink(missing_ok=True)


def _download(partial: _Partial, place: Address, policy: RetryPolicy) -> None:
    """Bring `partial` to its full size; raise Missing or InputError where that can't be done."""

    def begin(answer: Answer) -> None:
        partial.begin(answer.version)
        check_size(answer.version.size or 0, "fetched")

    def check_size(size: int, done: str) -> None:
        if size > place.limit:
            partial.drop()
            raise InputError(
                f"{place.address}: {size} bytes are more than the {place.limit} allowed for such a file; not {done}"
            )

    blocks = stream(place.address, partial.size, version=partial.version, policy=policy, begin=begin)
    with closing(blocks), ExitStack() as stack:
        stack.callback(partial.sync)
        first = next(blocks, b"")  # now the size is known
        with throughput("blocks", partial.version.size) as bar:
            bar.advance(0, place.name, size=partial.size, before=True)
            for block in chain((first,), blocks):
                partial.add(block)
                bar.advance(1, place.name, size=len(block))
                check_size(partial.size, "kept")
    if partial.size != (partial.version.size or partial.size):
        partial.drop()
        raise InputError(f"{place.address}: the bytes that came are not as many as the server said; run again")


def _check(partial: _Partial, place: Address, wanted: tuple[str, ...]) -> str:
    """Return the SHA-256 of what has come; if that isn't what was wanted, drop it and raise InputError."""
    with partial.path.open("rb") as file:
        head = file.read(1 << 10)
        if not place.begins.match(head):
            partial.drop()
            raise InputError(
                f"{place.address}: not the file that was expected, it begins with {head[:40]!r}; nothing was kept"
            )
        file.seek(0)
        found = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "sha1")}
        while block := file.read(1 << 20):
            for each in found.values():
                each.update(block)
    if wanted and (sum_ := found[wanted[0]].hexdigest()) != wanted[1]:
        partial.drop()
        raise InputError(
            f"{place.address}: its {wanted[0]} is {sum_}, but {wanted[1]} is published; nothing was kept: "
            "run the same command again, or try another --mirror"
        )
    return found["sha256"].hexdigest()


def _is_whole(known: dict[str, Any] | None, address: Address, target: Path) -> bool:
    """Return whether a file is whole; raise OutputExists if it is not ours, or of another date or release."""
    if known is None or not target.is_file() or target.is_symlink():
        raise OutputExists(f"{target}: was not fetched by this command; move it away, or choose another folder")
    if known.get("address") != address.address:
        raise OutputExists(f"{target}: was fetched from {known.get('address')}, not {address.address}; choose another "
                           "folder, or delete it")  # fmt: skip
    try:
        return target.stat().st_size == known.get("size") and sha256_of(target) == known.get("sha256")
    except OSError as error:
        raise InputError(f"{target}: can't be read: {error.strerror}") from error


def _mirrored(address: str, mirror: str) -> str:
    """Return the address with `mirror` for scheme and host."""
    return mirror.rstrip("/") + urlsplit(address).path if mirror and address else address
