"""Public files, fetched into a folder that their reader takes as it is.

The choice: `.fetched.json` (hidden, so that no reader of the folder stumbles over it) says of each file where it came
from, its size, ETag, date and SHA-256. A rerun reads what is there again, and fetches only what is missing or damaged;
a file that stands in it with another address, or isn't in it at all, is never replaced. `latest` is looked up once a
folder, so that a dump and its index are of one date. The price: a rerun reads all bytes, and a new date or another
release needs a new folder.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish, read_json, sha256_of, write_json
from nerbert.errors import InputError, OutputExists, SettingsError, WriteError
from nerbert.fetch.address import LATEST, Address, check_mirror
from nerbert.fetch.transfer import Partial, transfer
from nerbert.fetch.web import Missing, Patience, read_small
from nerbert.locks import held

FETCHED = ".fetched.json"
"""What was fetched, beside the files."""

_SUM = re.compile(r"([0-9A-Fa-f]{32,128}) [ *]([\w.-]{1,255})")
_LONGEST_LIST = 16 << 20


def fetch(
    addresses: list[Address], output: Path | None, mirror: str = "", patience: Patience | None = None
) -> Iterator[str]:
    """Fetch what is missing in the folder `output`, and say of each file how that went.

    A file that the server doesn't have keeps no other from being fetched; it is an error at the end.
    """
    check_mirror(mirror)
    if output is None:
        raise SettingsError("--output: name the folder to fetch into, or pass --list")
    missing: list[Missing] = []
    try:
        with alone(output):
            folder = _Folder(output, mirror, patience or Patience())
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
    """What `fetch` would get, a line each: name, kind, the publisher's checksum, address, tabs between them."""
    check_mirror(mirror)
    for each in addresses:
        sums = "/".join(algorithm for algorithm, _ in each.sums) or ("sha256" if each.sha256 else "no checksum")
        yield "\t".join((each.name, each.kind, sums, each.at(mirror).address))


@dataclass(slots=True)
class _Folder:
    """The folder, what it has by `.fetched.json`, and the checksum lists read in this run."""

    output: Path
    mirror: str
    patience: Patience
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    lists: dict[str, bytes | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what an earlier run wrote down."""
        if (path := self.output / FETCHED).exists():
            told = read_json(path)
            parts = (told.get("files"), told.get("latest")) if isinstance(told, dict) else ()
            if not parts or not all(isinstance(each, dict) for each in (*parts, *dict(parts[0] or ()).values())):
                raise InputError(f"{path}: not what a fetch of nerbert's writes; delete it and the files beside it")
            self.files, self.latest = told["files"], told["latest"]

    def fetch(self, address: Address) -> str:
        """Bring one file there, or see that it is."""
        if address.undated:
            address = address.dated(self._date(address))
        target = self.output / address.name
        if not target.exists() and not target.is_symlink():
            return self._get(address, target)
        if _is_of(self.files.get(address.name), address, target):
            return f"{address.name}: {target.stat().st_size:,} bytes, there already"
        return f"{self._get(address, target)}, in place of a damaged one"

    def _get(self, address: Address, target: Path) -> str:
        """Fetch, check, write down and name a file, in this order."""
        place = address.at(self.mirror)
        for stale in self.output.glob(f".{address.name}.*.partial"):
            with suppress(OSError):
                stale.unlink()
        with publish(target) as draft:
            wanted = self._published(place)
            partial = Partial(target, place.address, self.patience.step)
            transfer(partial, place.address, address.limit, self.patience, address.name)
            size, version = partial.size, partial.version
            sums = _check(partial, place, wanted)
            checked = f"{wanted[0]} {wanted[1]}" if wanted else None
            self.files[address.name] = {
                "address": address.address, "kind": address.kind, "size": size, "sha256": sums, "etag": version.etag,
                "modified": version.modified, "published_checksum": checked, "mirror": self.mirror or None,
            }  # fmt: skip
            self._write()
            partial.finish(draft)
        how = f"{wanted[0]} as {'known' if place.sha256 else 'published'}" if wanted else "no checksum is published"
        return f"{address.name}: {size:,} bytes fetched, {how}"

    def _write(self) -> None:
        write_json(self.output / FETCHED, {"files": dict(sorted(self.files.items())), "latest": self.latest})

    def _published(self, place: Address) -> tuple[str, str] | None:
        """Algorithm and checksum, known beforehand or by the first list that names the file; None without a list."""
        if place.sha256:
            return "sha256", place.sha256
        unlisted = False
        for algorithm, found in self._lists(place):
            if place.name in found:
                return algorithm, found[place.name]
            unlisted = True
        if unlisted:
            raise Missing(f"{place.address}: not in the checksum list beside it, so it may not be finished yet")
        return None

    def _date(self, address: Address) -> str:
        """The date that `latest` meant when this folder first asked; the lists name it."""
        key = address.sums[0][1]
        if not re.fullmatch(r"[0-9]{8}", str(self.latest.get(key, ""))):
            name = re.compile(re.escape(address.name).replace(LATEST, "([0-9]{8})"))
            place = address.at(self.mirror)
            named = (match[1] for _, names in self._lists(place) for each in names if (match := name.fullmatch(each)))
            if not (date := next(named, "")):
                raise Missing(f"{place.sums[0][1]}: no {address.name} there, the newest dump may not be finished yet")
            self.latest[key] = date
            self._write()
        return self.latest[key]

    def _lists(self, place: Address) -> Iterator[tuple[str, dict[str, str]]]:
        """The checksum lists that there are: algorithm, and checksums by name."""
        for algorithm, where in place.sums:
            if where not in self.lists:
                try:
                    self.lists[where] = read_small(where, _LONGEST_LIST, self.patience)
                except Missing:
                    self.lists[where] = None
            if (data := self.lists[where]) is not None:
                digits = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
                lines = map(_SUM.fullmatch, data.decode("ascii", "replace").splitlines())
                yield algorithm, {each[2]: each[1].lower() for each in lines if each and len(each[1]) == digits}


def _check(partial: Partial, place: Address, wanted: tuple[str, str] | None) -> str:
    """The SHA-256 of what has come, if it is what was wanted; else it is dropped, and InputError raised."""
    with partial.path.open("rb") as file:
        head = file.read(1 << 10)
    if not place.begins.match(head):
        partial.drop()
        raise InputError(
            f"{place.address}: not the file that was expected, it begins with {head[:40]!r}; nothing was kept"
        )
    algorithm, published = wanted or ("sha256", "")
    found = _digests(partial.path, "sha256", algorithm)
    if published and found[algorithm] != published:
        partial.drop()
        raise InputError(
            f"{place.address}: its {algorithm} is {found[algorithm]}, but {published} is published; nothing was kept: "
            "run the same command again, or try another --mirror"
        )
    return found["sha256"]


def _digests(path: Path, *algorithms: str) -> dict[str, str]:
    """Hex digests of a file by several algorithms, read once."""
    found = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            for each in found.values():
                each.update(block)
    return {algorithm: each.hexdigest() for algorithm, each in found.items()}


def _is_of(told: dict[str, Any] | None, address: Address, target: Path) -> bool:
    """Whether a file is whole; OutputExists if it is not ours, or of another date or release."""
    if told is None or not target.is_file() or target.is_symlink():
        raise OutputExists(f"{target}: was not fetched by this command; move it away, or choose another folder")
    if told.get("address") != address.address:
        raise OutputExists(f"{target}: was fetched from {told.get('address')}, not {address.address}; choose another "
                           "folder, or delete it")  # fmt: skip
    try:
        return target.stat().st_size == told.get("size") and sha256_of(target) == told.get("sha256")
    except OSError as error:
        raise InputError(f"{target}: can't be read: {error.strerror}") from error


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
