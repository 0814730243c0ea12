"""Outputs at addresses that fsspec knows (`s3://bucket/corpus`): made in the cache, then uploaded.

There is no rename, so the file that marks a folder as nerbert's (`manifest.json`, `nerbert.json`) is uploaded last: a
folder that has it is whole. Cost: the output lies on the local disk until then, and other machines can't write it.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from nerbert.artifacts import MARKERS, json_line, publish
from nerbert.cache import cache_place
from nerbert.errors import NerbertError, OutputExists, SettingsError, WriteError
from nerbert.locks import held
from nerbert.sources.files import Source
from nerbert.terminal import tell

_PROBE = ".nerbert-probe"


@dataclass(frozen=True, slots=True)
class Upload:
    """An output's address, and where it is made, in a folder of its own that also remembers the upload."""

    address: str
    staged: Path

    @classmethod
    def to(cls, address: str) -> Self:
        """Return the upload to an address, which isn't opened."""
        name = Path(urlsplit(address).path).name
        if not name:
            raise SettingsError(f"{Source(address)}: names no output; add a name, as in s3://bucket/corpus")
        return cls(address, cache_place("", "uploads", sha256(address.encode()).hexdigest()[:32]) / name)

    def run(self, command: Callable[[], object], arguments: Sequence[str], *, overwrite: bool) -> None:
        """Call a command that makes `staged`, then upload that; the same arguments go on with an earlier upload.

        Raise OutputExists for what is there already, and WriteError for an address that can't be written, before the
        command is called.
        """
        folder = self.staged.parent
        made_by, sent = folder / "made_by", folder / "sent"
        folder.mkdir(parents=True, exist_ok=True)
        asked = sha256(json_line(list(arguments)).encode()).hexdigest()
        with held(folder / "lock", f"{self}: another run is making it; wait for its end or choose another place"):
            again = self.staged.exists() and made_by.exists() and made_by.read_text() == asked
            with self._faults():
                self._check_free(half=again and sent.exists(), overwrite=overwrite)
            if again:
                tell(f"{self}: was made before; going on with its upload")
            else:
                for each in (self.staged, made_by, sent):
                    shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
                command()
                with publish(made_by) as draft:
                    draft.write_text(asked)
            with self._faults():
                count = self._send(sent)
            shutil.rmtree(folder)
        tell(f"{self}: uploaded, {count} files")

    def _check_free(self, *, half: bool, overwrite: bool) -> None:
        """Raise OutputExists for what may not be replaced; an own upload that is `half` done may. Try to write."""
        files, place = _opened(self.address)
        there = [] if half else files.find(place)
        if there and not overwrite:
            raise OutputExists(f"{self}: exists already; choose another place or pass --overwrite")
        if there and place not in there and not any(files.exists(f"{place}/{each}") for each in MARKERS):
            raise OutputExists(
                f"{self}: not a whole folder that nerbert made, so --overwrite leaves it alone; delete it"
            )
        files.pipe_file(f"{place}{_PROBE}", b"")
        files.rm_file(f"{place}{_PROBE}")

    def _send(self, sent: Path) -> int:
        """Upload what `sent` doesn't name yet, markers last and the outermost one at the very end; return how much."""
        files, place = _opened(self.address)
        if self.staged.is_file():
            files.put_file(str(self.staged), place)
            return 1
        names = [each.relative_to(self.staged).as_posix() for each in self.staged.rglob("*") if each.is_file()]
        names.sort(key=lambda name: (Path(name).name in MARKERS, -name.count("/"), name))
        sent.touch()
        done = set(sent.read_text().splitlines())
        if not done:
            _clear(files, place)
        with sent.open("a") as journal:
            for name in names:
                if name not in done:
                    files.put_file(str(self.staged / name), f"{place}/{name}")
                    journal.write(f"{name}\n")
                    journal.flush()
        return len(names)

    def __str__(self) -> str:
        return str(Source(self.address))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise WriteError for whatever a store says; it may quote the address, whose secrets are left out."""
        try:
            yield
        except NerbertError:
            raise
        except Exception as error:
            why = " ".join(f"{type(error).__name__} {error}".split()).replace(self.address, str(self))
            raise WriteError(f"{self}: can't be written: {why:.300}; check the bucket and your rights; "
                             "run the command again to go on") from error  # fmt: skip


def _opened(address: str) -> tuple[Any, str]:
    files, place = Source(address).file_system()
    files.invalidate_cache()
    return files, place.rstrip("/")


def _clear(files: Any, place: str) -> None:
    """Remove an older output, what makes it whole first."""
    old = sorted(files.find(place), key=lambda each: Path(each).name not in MARKERS)
    for each in old:
        files.rm_file(each)
