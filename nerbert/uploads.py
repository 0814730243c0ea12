"""Outputs at URLs that fsspec supports (`s3://bucket/corpus`): made in the cache, then uploaded.

Object stores have no rename, so the file that marks a folder as nerbert's (`manifest.json`, `nerbert.json`) is uploaded
last: a folder that has it is complete. Cost: the local disk holds the output until then, and only this machine writes.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from nerbert.about import __version__
from nerbert.artifacts import MARKERS, held
from nerbert.cache import cache_place
from nerbert.errors import OutputExists, SettingsError, WriteError, refused
from nerbert.schema import json_line
from nerbert.sources.remote import file_system, without_secrets
from nerbert.terminal import tell

_PROBE, _CLEARING, _CLEARED = ".nerbert-probe", "clearing", "cleared"


@dataclass(frozen=True, slots=True)
class Upload:
    """An output's URL, and its local path; the folder above that path records the command and the upload's state."""

    address: str
    staged: Path

    @classmethod
    def to(cls, address: str) -> Self:
        """Return the upload to a URL, without opening it."""
        name = Path(urlsplit(address).path).name
        if name in ("", ".", ".."):
            raise SettingsError(f"{without_secrets(address)}: names no output; add a name, as in s3://bucket/corpus")
        return cls(address, cache_place("", "uploads", sha256(address.encode()).hexdigest()[:32]) / "made" / name)

    def run(self, command: Callable[[], object], arguments: Sequence[str], *, overwrite: bool) -> None:
        """Call a command that makes `staged`, then upload that; after an interruption, the same call resumes.

        Before the command is called, raise OutputExists if there is an output already, and WriteError if the URL can't
        be written. Nothing is uploaded if the command makes nothing.
        """
        folder = self.staged.parents[1]
        asked, state = folder / "asked", folder / "state"
        call = json_line([__version__, str(Path.cwd()), *arguments])
        self.staged.parent.mkdir(parents=True, exist_ok=True)
        with held(folder / "lock", f"{self}: another run is making it; wait for its end or choose another place"):
            if not asked.exists() or asked.read_text("utf-8") != call:
                shutil.rmtree(self.staged.parent)
                self.staged.parent.mkdir()
                state.unlink(missing_ok=True)
                asked.write_text(call, "utf-8")
            if not state.exists():
                with refused(self._fault):
                    self._check_free(overwrite=overwrite)
            if not self.staged.is_file() and not any((self.staged / marker).is_file() for marker in MARKERS):
                command()
            if self.staged.exists():
                with refused(self._fault):
                    self._send(state)
                tell(f"{self}: uploaded")
            shutil.rmtree(folder)

    def _check_free(self, *, overwrite: bool) -> None:
        """Raise OutputExists if there is an output that may not be replaced. Then try to write."""
        files, root = file_system(self.address)
        files.invalidate_cache()
        names = [name.removeprefix(root).lstrip("/") for name in files.find(root)]
        if names and not overwrite:
            raise OutputExists(f"{self}: exists already; choose another place or pass --overwrite")
        if names and set(names).isdisjoint(("", *MARKERS)):
            raise OutputExists(f"{self}: no whole folder that nerbert made, so --overwrite leaves it alone; delete it")
        files.pipe_file(f"{root}{_PROBE}", b"")
        files.rm_file(f"{root}{_PROBE}")

    def _send(self, state: Path) -> None:
        """Remove the old output, then upload and locally delete each file: markers last, and of these the outermost."""
        files, root = file_system(self.address)
        if not state.exists() or state.read_text("utf-8") == _CLEARING:
            state.write_text(_CLEARING, "utf-8")
            files.invalidate_cache()
            for name in sorted(files.find(root), key=lambda name: Path(name).name not in MARKERS):
                files.rm_file(name)
            state.write_text(_CLEARED, "utf-8")
        paths = [self.staged] if self.staged.is_file() else [path for path in self.staged.rglob("*") if path.is_file()]
        for path in sorted(paths, key=lambda path: (path.name in MARKERS, -len(path.parts), path)):
            files.put_file(str(path), "/".join((root, *path.relative_to(self.staged).parts)))
            path.unlink()

    def __str__(self) -> str:
        return without_secrets(self.address)

    def _fault(self, error: BaseException) -> WriteError | None:
        """Return the error for any failure of a store, without secrets, since its message may quote the URL."""
        why = without_secrets(" ".join(f"{type(error).__name__} {error}".split()).replace(self.address, str(self)))
        message = (
            f"{self}: can't be written: {why:.300}; check the bucket and your rights; run the command again to go on"
        )
        return WriteError(message) if isinstance(error, Exception) else None
