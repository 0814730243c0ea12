"""Folders computed once from the same inputs, such as a corpus, and reused.

A folder's name is the hash of its inputs. Cost: old folders are never deleted, and opening one reads all its files.
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
    """Return the result of `read` for the cached folder of this kind that was made from `origin`, a JSON value.

    `make` fills the folder first if it is missing, a file is damaged, or `read` raises InputError; a failure leaves
    nothing behind. `cache` is the setting. Safe to call from several processes at once.
    """
    target = cache_place(cache, kind, sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest())
    lock = target.with_name(f".{target.name}.lock")
    # Without the lock first: most calls find the folder, which is never changed in place.
    if (content := _read_whole(target, read)) is not None:
        # A run that was killed after it renamed the folder has left it.
        if lock.exists():
            with suppress(OSError, OutputExists), held(lock, ""):
                finish(target)
                lock.unlink()
        return content
    # Importing it takes 10 ms, which an exported tagger saves at its start.
    from multiprocessing import current_process

    # A worker runs the script of its parent, which waits for it while holding the lock.
    if getattr(current_process(), "_inheriting", False):
        raise NerbertError(
            "a script that trains is run by its own workers too: put its work under `if __name__ == '__main__':`"
        )
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            wait = held(lock, "", wait=lambda: tell(f"{target}: another run is making it; waiting for its end"))
            stack.enter_context(wait)
        except OSError as error:
            raise unwritable(target.parent, error, "name another folder as cache") from error
        stack.callback(lock.unlink, missing_ok=True)
        # Another process may have made it while this one waited.
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
            # Checksums on disk must not describe files that a power cut has emptied.
            for path in filter(Path.is_file, folder.rglob("*")):
                to_disk(path)
    return read(target)


def _read_whole(target: Path, read: Callable[[Path], Read]) -> Read | None:
    """Return the content of a folder; None if the folder is missing or damaged."""
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
    """Return a cached folder's path in `cache` or the user's cache folder; raise OutputExists for another user's."""
    try:
        home = user_cache()
        path, parts = (Path(cache).expanduser(), (kind, name)) if cache else (home, ("nerbert", kind, name))
    # ValueError: the path has a lone surrogate.
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"cache = {cache!r:.80}: there is no home folder for it; name a folder") from error
    try:
        # Each folder on the way: on a shared machine, another user could have planted one.
        for part in parts:
            path /= part
            check_own(path)
            # What doesn't exist yet is made later; only names that no system takes are refused here.
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                path.lstat()
    except OutputExists as error:
        raise OutputExists(f"{error}, or set cache to a folder that is yours") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"cache = {cache!r:.80}: can't be a folder: {error}") from error
    return path
