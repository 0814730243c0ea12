"""Folders computed once from the same inputs, such as a corpus, and reused.

A name is the hash of all that it was made from. Cost: nobody deletes old ones, and opening one reads all of it.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from nerbert.artifacts import check_own, checksum_of, finish, held, publish_folder, to_disk, unwritable, write_json
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.schema import read_json
from nerbert.terminal import tell

Read = TypeVar("Read")

_CHECKSUMS = "checksums.json"


def load_cached(cache: str, kind: str, origin: Any, make: Callable[[Path], None], read: Callable[[Path], Read]) -> Read:
    """Return what `read` reads from the cached folder of a kind that was made from `origin`, a JSON value.

    `make` fills it first if it is missing or a file is damaged, or `read` raises InputError; a failure leaves nothing
    behind. `cache` is the setting. Safe to call from several processes at once.
    """
    target = cache_place(cache, kind, sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest())
    lock = target.with_name(f".{target.name}.lock")
    if (content := _read_whole(target, read)) is not None:
        if lock.exists():  # of a run that was killed after the folder got its name
            with suppress(OSError, OutputExists), held(lock, ""):
                finish(target)
                lock.unlink()
        return content
    from multiprocessing import current_process  # 10 ms: an exported tagger's first word doesn't wait for them

    if getattr(current_process(), "_inheriting", False):  # a worker that runs the script of the process waiting for it
        raise NerbertError("a script that trains is run by its own workers too: put its work under "
                           "`if __name__ == '__main__':`")  # fmt: skip
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            wait = held(lock, "", wait=lambda: tell(f"{target}: another run is making it; waiting for its end"))
            stack.enter_context(wait)
        except OSError as error:
            raise unwritable(target.parent, error, "name another folder as cache") from error
        stack.callback(lock.unlink, missing_ok=True)
        if (content := _read_whole(target, read)) is not None:
            return content
        if target.is_dir():
            tell(f"{target}: damaged, or made by an older version; it is made again")
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        with publish_folder(target) as folder:
            make(folder)
            write_json(folder / "made_from.json", origin)
            write_json(folder / _CHECKSUMS, _checksums(folder))
            for path in filter(Path.is_file, folder.rglob("*")):
                to_disk(path)
    return read(target)


def _read_whole(target: Path, read: Callable[[Path], Read]) -> Read | None:
    """Return what is read from a folder; None if there is none, or a damaged one."""
    if not target.is_dir():
        return None
    with suppress(InputError, OSError):
        if read_json(target / _CHECKSUMS, dict[str, int]) == _checksums(target):
            return read(target)
    return None


def _checksums(folder: Path) -> dict[str, int]:
    """Return the CRC-32 of each file of a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _CHECKSUMS)
    return {path.relative_to(folder).as_posix(): checksum_of(path) for path in files}


def user_cache() -> Path:
    """Return the folder of the user's caches; raise RuntimeError or ValueError if there is no home folder for it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def cache_place(cache: str, kind: str, name: str) -> Path:
    """Return a cached folder's path, below `cache` or the user's cache folder; raise OutputExists for a foreign one."""
    try:
        home = user_cache()
        path, parts = (Path(cache).expanduser(), (kind, name)) if cache else (home, ("nerbert", kind, name))
    except (RuntimeError, ValueError) as error:  # half a character is no user's name
        raise SettingsError(f"cache = {cache!r:.80}: there is no home folder for it; name a folder") from error
    try:
        for part in parts:
            path /= part
            check_own(path)
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                path.lstat()
    except OutputExists as error:
        raise OutputExists(f"{error}, or set cache to a folder that is yours") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"cache = {cache!r:.80}: can't be a folder: {error}") from error
    return path
