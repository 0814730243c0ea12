"""Outputs at addresses that fsspec knows (`s3://bucket/corpus`): made in the cache, then uploaded. Folders on the hub.

There is no rename, so the file that marks a folder as nerbert's (`manifest.json`, `nerbert.json`) is uploaded last: a
folder that has it is whole. Cost: the output lies on the local disk until then, and other machines can't write it.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from nerbert import __version__
from nerbert.artifacts import MARKERS, json_line, publish
from nerbert.cache import cache_place
from nerbert.errors import NerbertError, OutputExists, SettingsError, WriteError, need, refused
from nerbert.locks import held
from nerbert.sources.files import Source
from nerbert.sources.http import without_secrets
from nerbert.terminal import tell

_PROBE, _CLEARING, _CLEARED, _MOST_ENTRIES = ".nerbert-probe", "//clearing", "//cleared", 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """An output's address, and where it is made; the folder above remembers the command, and what is uploaded."""

    address: str
    staged: Path

    @classmethod
    def to(cls, address: str) -> Self:
        """Return the upload to an address, which isn't opened."""
        name = Path(urlsplit(address).path).name
        if name in ("", ".", ".."):
            raise SettingsError(f"{Source(address)}: names no output; add a name, as in s3://bucket/corpus")
        return cls(address, cache_place("", "uploads", sha256(address.encode()).hexdigest()[:32]) / "made" / name)

    def run(self, command: Callable[[], object], arguments: Sequence[str], *, overwrite: bool) -> None:
        """Call a command that makes `staged`, then upload that; the same call goes on with its own work and upload.

        Raise OutputExists for what is there already, and WriteError for an address that can't be written, before the
        command is called. Nothing is uploaded if the command makes nothing.
        """
        folder = self.staged.parents[1]
        asked, sent, wanted = folder / "asked", folder / "sent", _asked(arguments)
        self.staged.parent.mkdir(parents=True, exist_ok=True)
        with held(folder / "lock", f"{self}: another run is making it; wait for its end or choose another place"):
            if not asked.exists() or asked.read_text("utf-8") != wanted:
                shutil.rmtree(self.staged.parent)
                self.staged.parent.mkdir()
                sent.unlink(missing_ok=True)
                with publish(asked) as draft:
                    draft.write_text(wanted, "utf-8")
            with self._faults():
                self._check_free(_lines(sent), overwrite=overwrite)
            if self._is_made():
                tell(f"{self}: was made before, in {self.staged}; going on with its upload")
            else:
                command()
            if self.staged.exists():
                with self._faults():
                    count = self._send(sent)
                tell(f"{self}: uploaded, {count} files")
            shutil.rmtree(folder)

    def _is_made(self) -> bool:
        """Return whether an earlier run made the output as a whole."""
        return self.staged.is_file() or any((self.staged / each).is_file() for each in MARKERS)

    def _files(self) -> dict[str, int]:
        """Return the bytes of each file to upload, by its path in the output; "" is the output itself."""
        if self.staged.is_file():
            return {"": self.staged.stat().st_size}
        files = (each for each in self.staged.rglob("*") if each.is_file())
        return {each.relative_to(self.staged).as_posix(): each.stat().st_size for each in files}

    def _check_free(self, sent: Sequence[str], *, overwrite: bool) -> None:
        """Raise OutputExists if something is there that may not be replaced; `sent` is ours. Then try to write."""
        files, place = _opened(self.address)
        ours, there = self._files(), _sizes(files, place)
        others = [name for name, size in there.items() if name not in sent and ours.get(name) != size]
        if others and _CLEARED in sent:
            raise OutputExists(f"{self}: something else was written there since the upload began; choose another place")
        if others and not overwrite:
            raise OutputExists(f"{self}: exists already; choose another place or pass --overwrite")
        if others and not sent and there.keys().isdisjoint(("", *MARKERS)):
            raise OutputExists(f"{self}: no whole folder that nerbert made, so --overwrite leaves it alone; delete it")
        files.pipe_file(f"{place}{_PROBE}", b"")
        files.rm_file(f"{place}{_PROBE}")

    def _send(self, sent: Path) -> int:
        """Upload what isn't there yet, markers last and the outermost one at the very end; return how many files."""
        files, place = _opened(self.address)
        sizes, before, there = self._files(), _lines(sent), _sizes(files, place)
        with sent.open("a", encoding="utf-8", errors="surrogateescape") as journal:
            if _CLEARED not in before:
                _note(journal, _CLEARING)
                for name in sorted(there.keys() - {""}, key=lambda name: name not in MARKERS):  # its mark goes first
                    files.rm_file(f"{place}/{name}")
                _note(journal, _CLEARED)
            for name in sorted(sizes, key=lambda name: (Path(name).name in MARKERS, -name.count("/"), name)):
                if name not in before or there.get(name) != sizes[name]:
                    files.put_file(str(self.staged / name), f"{place}/{name}".rstrip("/"))
                    _note(journal, name)
        return len(sizes)

    def __str__(self) -> str:
        return str(Source(self.address))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise WriteError for whatever a store says, without the secrets of an address that it may quote."""
        try:
            yield
        except NerbertError:
            raise
        except Exception as error:
            why = without_secrets(" ".join(f"{type(error).__name__} {error}".split()).replace(self.address, str(self)))
            raise WriteError(f"{self}: can't be written: {why:.300}; check the bucket and your rights; "
                             "run the command again to go on") from error  # fmt: skip


def _asked(arguments: Sequence[str]) -> str:
    """Return the digest of a command: its words, the folder where it is called, the state of files that it names."""
    words = {part for each in arguments for part in (each, each.partition("=")[2]) if part and "\0" not in part}
    states = {word: _state(Path(word)) for word in sorted(words) if os.path.exists(word)}  # noqa: PTH110  (long words)
    return sha256(json_line([__version__, str(Path.cwd()), list(arguments), states]).encode()).hexdigest()


def _state(path: Path) -> list[Any]:
    """Return what changes with a file, or with what lies in a folder."""
    several = sorted(islice(path.iterdir(), _MOST_ENTRIES)) if path.is_dir() else [path]
    return [[each.name, each.lstat().st_size, each.lstat().st_mtime_ns] for each in several]


def _opened(address: str) -> tuple[Any, str]:
    files, place = Source(address).file_system()
    files.invalidate_cache()
    return files, place.rstrip("/")


def _sizes(files: Any, place: str) -> dict[str, int]:
    """Return the bytes of each file at a place, by its path below; "" is the place itself."""
    found = files.find(place, detail=True)
    return {name.removeprefix(place).lstrip("/"): facts["size"] for name, facts in found.items()}


def _lines(journal: Path) -> list[str]:
    return journal.read_text("utf-8", "surrogateescape").splitlines() if journal.exists() else []


def _note(journal: Any, name: str) -> None:
    journal.write(f"{name}\n")
    journal.flush()


def push_folder(folder: Path, repo_id: str, *, token: str | None = None, private: bool | None = None,
                repo_type: str = "model", branch: str | None = None, **how: Any) -> str:  # fmt: skip
    """Upload a folder to a repository of the hub as one commit, and return the commit's address.

    A missing repository is made, `private` or not; `how` are options of huggingface_hub's `upload_folder`. Raise
    InputError for what the hub refuses.
    """
    need("train", "huggingface_hub")
    from huggingface_hub import HfApi

    with refused(f"{repo_id}: can't be pushed to the hub"):
        api = HfApi(token=token)
        name = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True).repo_id
        return str(api.upload_folder(repo_id=name, repo_type=repo_type, folder_path=folder, revision=branch, **how))
