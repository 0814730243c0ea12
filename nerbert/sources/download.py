"""Download public files into a folder: resumable, verified, and never mixing two versions of a file.

`.fetched.json` lists the downloaded files; the name of an unfinished file contains a hash of its version (ETag).
Cost: a new date needs a new folder, and without a strong ETag an interrupted download starts again.
"""

import glob
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nerbert.artifacts import check_own, held, to_disk, unwritable, write_json, writing
from nerbert.errors import InputError, OutputExists, SettingsError
from nerbert.schema import json_line, read_json
from nerbert.sources.remote import Missing, RetryPolicy, facts_of, open_buffered, read_small
from nerbert.terminal import progress

FETCHED = ".fetched.json"
"""The list of downloaded files, in the same folder."""
LATEST = "latest"
"""Placeholder in a name and its URL for the newest date, which is read from the checksum list."""
_SUM = re.compile(r"([0-9A-Fa-f]{40}) [ *]([\w.-]{1,255})")
_MIRROR = re.compile(r"https?://([\w.-]+|\[[\da-fA-F:]+\])(:[1-9]\d{0,4})?(/[\w.~%!$&'()*+,;=:/-]*)?", re.ASCII)
_LONGEST_LIST = 16 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Address:
    """A public file: its local name, the kind of its content, its URL, and a pattern of its first bytes.

    `sums` is the URL of a list of SHA-1 sums; `limit` is the maximum size in bytes; `advice` is a remedy for a missing
    file.
    """

    name: str
    kind: str
    address: str
    limit: int
    begins: re.Pattern[bytes]
    advice: str
    sums: str = ""

    def at(self, mirror: str) -> "Address":
        """Return the same file on a mirror ("": the public servers), which has the same paths below its URL."""
        return replace(self, address=on_mirror(self.address, mirror), sums=on_mirror(self.sums, mirror))


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A downloaded file in `.fetched.json`; `sha1` is the published sum, "" if none is published."""

    address: str
    size: int
    sha256: str
    sha1: str = ""


@dataclass(slots=True)
class Fetched:
    """The content of `.fetched.json`: the files by name, and the date that `latest` stood for, by checksum list."""

    files: dict[str, FetchedFile]
    latest: dict[str, str]


def check_mirror(mirror: str) -> None:
    """Raise SettingsError for a value that can't replace the scheme and host of a URL."""
    if mirror and not _MIRROR.fullmatch(mirror):
        raise SettingsError(
            f"--mirror = {mirror!r}: must be http(s)://host, with a port and a folder if need be, but without a "
            "password or a query"
        )


def on_mirror(address: str, mirror: str) -> str:
    """Return a URL with its scheme and host replaced by `mirror`; unchanged if either is empty."""
    return mirror.rstrip("/") + urlsplit(address).path if mirror and address else address


def list_lines(addresses: list[Address], mirror: str = "") -> Iterator[str]:
    """Yield a line for each file that `fetch` would download: name, kind, the publisher's checksum, URL, separated by
    tabs.
    """
    check_mirror(mirror)
    for address in addresses:
        sums = "sha1" if address.sums else "no checksum"
        yield "\t".join((address.name, address.kind, sums, address.at(mirror).address))


def fetch(
    addresses: list[Address], output: Path | None, mirror: str = "", policy: RetryPolicy | None = None
) -> Iterator[str]:
    """Download the files missing in the folder `output`, and yield a line on each. If the server doesn't have a file,
    raise the error at the end, after all other downloads.
    """
    missing: list[str] = []
    try:
        with open_output(output, mirror) as folder:
            fetched = _Folder(folder, mirror, policy or RetryPolicy())
            for address in addresses:
                try:
                    yield fetched.fetch(address)
                # One missing file doesn't stop the others
                except Missing as error:
                    missing.append(f"{error}; {address.advice}")
    except (KeyboardInterrupt, SystemExit) as stop:
        stop.add_note("rerun the command to resume")
        raise
    if missing:
        raise InputError("; and ".join(missing))


@contextmanager
def open_output(output: Path | None, mirror: str = "") -> Iterator[Path]:
    """Check the options of a download, make its folder, and lock it against a second download."""
    check_mirror(mirror)
    if output is None:
        raise SettingsError("--output: name the folder to fetch into, or pass --list")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(output, error) from error
    with held(output, f"{output}: another run is fetching into it; wait for its end"):
        yield output


@dataclass(slots=True)
class _Folder:
    """A run's folder, its files according to `.fetched.json`, and the checksum lists read in this run."""

    output: Path
    mirror: str
    policy: RetryPolicy
    known: Fetched = field(default_factory=lambda: Fetched({}, {}))
    lists: dict[str, dict[str, str] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the list of an earlier run."""
        if (path := self.output / FETCHED).exists():
            self.known = read_json(path, Fetched, remedy="delete it and the files beside it")

    def fetch(self, address: Address) -> str:
        """Download one file unless it exists and is complete."""
        if address.sums and LATEST in address.name:
            address = self._resolve_date(address)
        target = self.output / address.name
        # A link to nothing doesn't exist, but mustn't be written through
        if not target.exists() and not target.is_symlink():
            return self._get(address, target)
        record = self.known.files.get(address.name)
        if record is None or target.is_symlink() or not target.is_file() or target.stat().st_size != record.size:
            raise OutputExists(
                f"{target}: was not fetched by this command, or was changed; move it away, or choose another folder"
            )
        if record.address != address.address:
            raise OutputExists(
                f"{target}: was fetched from {record.address}, not {address.address}; choose another folder"
            )
        return f"{address.name}: {record.size:,} bytes, there already"

    def _get(self, address: Address, target: Path) -> str:
        """Download, verify, record and rename a file, in this order."""
        mirrored = address.at(self.mirror)
        with writing(target):
            sums = self._read_sums(mirrored)
            # A list without the file is being written: the dump may not be finished
            if sums is not None and mirrored.name not in sums:
                raise Missing(f"{mirrored.address}: not in its checksum list, so it may not be finished yet")
            sha1 = sums[mirrored.name] if sums else ""
            version = _read_version(mirrored.address, self.policy)
            partial = _partial_path(target, version)
            try:
                self._download(mirrored, partial, version)
                sha256 = _check_content(mirrored, partial, sha1)
                size = partial.stat().st_size
            except _UnusableError:
                partial.unlink(missing_ok=True)
                raise
            # Recorded before it gets its name, so that a file with the name is always a known one
            self.known.files[address.name] = FetchedFile(address.address, size, sha256, sha1)
            self._write()
            to_disk(partial)
            partial.replace(target)
        check = "sha1 as published" if sha1 else "no checksum is published"
        return f"{address.name}: {size:,} bytes fetched, {check}"

    def _download(self, address: Address, partial: Path, version: dict[str, Any]) -> None:
        """Download the missing part of a file; raise InputError if the file changes meanwhile."""
        size = partial.stat().st_size if partial.exists() else 0
        total = version["size"]
        _check_size(address, total or size)
        stream = open_buffered(address.address, size, policy=self.policy)
        with stream, partial.open("ab", buffering=0) as file, progress("blocks", total, of_bytes=True) as bar:
            bar.advance(0, address.name, size=size, before=True)
            while block := stream.read1(_BLOCK):
                file.write(block)
                bar.advance(1, address.name, size=len(block))
                size += len(block)
                _check_size(address, size)
        # The server may have replaced the file during the download
        if _read_version(address.address, self.policy) != version or size != (total or size):
            raise _UnusableError(f"{address.address}: changed while it was fetched; run the same command again")

    def _write(self) -> None:
        self.known.files = dict(sorted(self.known.files.items()))
        write_json(self.output / FETCHED, asdict(self.known))

    def _resolve_date(self, address: Address) -> Address:
        """Return a file of the date that was `latest` at the first download into this folder, by the checksum list."""
        # The date is kept, so that later runs don't mix two dumps
        if not re.fullmatch(r"[0-9]{8}", self.known.latest.get(address.sums, "")):
            pattern = re.compile(re.escape(address.name).replace(LATEST, "([0-9]{8})"))
            mirrored = address.at(self.mirror)
            dates = (match[1] for name in self._read_sums(mirrored) or () if (match := pattern.fullmatch(name)))
            if not (date := next(dates, "")):
                raise Missing(f"{mirrored.sums}: has no {address.name}; the newest dump may not be finished yet")
            self.known.latest[address.sums] = date
            self._write()
        date = self.known.latest[address.sums]
        name, url, sums = (text.replace(LATEST, date) for text in (address.name, address.address, address.sums))
        return replace(address, name=name, address=url, sums=sums)

    def _read_sums(self, address: Address) -> dict[str, str] | None:
        """Return the publisher's SHA-1 sums by name; None if there is no such list."""
        if address.sums and address.sums not in self.lists:
            self.lists[address.sums] = None
            with suppress(Missing):
                text = read_small(address.sums, _LONGEST_LIST, self.policy).decode("ascii", "replace")
                lines = map(_SUM.fullmatch, text.splitlines())
                self.lists[address.sums] = {match[2]: match[1].lower() for match in lines if match}
        return self.lists.get(address.sums)


class _UnusableError(InputError):
    """The downloaded content isn't the expected file, and isn't kept."""


def _read_version(address: str, policy: RetryPolicy) -> dict[str, Any]:
    """Return a server's current facts about a file; all parts of a download must have the same facts."""
    facts = facts_of(address, policy)
    names = {"size": "size", "etag": "ETag", "modified": "Last-Modified"}
    return {"address": address} | {name: facts.get(key) for name, key in names.items()}


def _partial_path(target: Path, version: dict[str, Any]) -> Path:
    """Return the path for the parts of a version; delete parts of other versions, or of one without a strong ETag."""
    etag = version["etag"] or "W/"
    name = hashlib.sha256(json_line(version).encode()).hexdigest()[:16]
    partial = target.with_name(f".{target.name}.{name}.partial")
    for path in target.parent.glob(f".{glob.escape(target.name)}.*partial"):
        check_own(path)
        # Only a strong ETag promises equal bytes (RFC 9110, 8.8.1)
        if path != partial or etag.startswith("W/"):
            path.unlink()
    return partial


def _check_size(address: Address, size: int) -> None:
    if size > address.limit:
        raise _UnusableError(
            f"{address.address}: {size} bytes are more than the {address.limit} allowed for such "
            "a file; nothing was kept"
        )


def _check_content(address: Address, partial: Path, sha1: str) -> str:
    """Return the SHA-256 of a downloaded file; raise InputError if it isn't the expected one."""
    with partial.open("rb") as file:
        head = file.read(1 << 10)
        # An error page with status 200 is no dump
        if not address.begins.match(head):
            raise _UnusableError(
                f"{address.address}: not the expected file, it begins with {head[:40]!r}; nothing was kept"
            )
        file.seek(0)
        digest = hashlib.sha256()
        published = hashlib.sha1(usedforsecurity=False)
        while block := file.read(_BLOCK):
            digest.update(block)
            published.update(block)
    if sha1 and published.hexdigest() != sha1:
        raise _UnusableError(
            f"{address.address}: its sha1 is {published.hexdigest()}, but {sha1} is published; nothing was kept: "
            "run the same command again, or try another --mirror"
        )
    return digest.hexdigest()
