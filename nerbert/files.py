"""Everything written goes through `publish`: a temporary name beside the target, then one rename.

So a name that exists is whole. A folder is filled as `.NAME.partial` and renamed when the block ends without an error;
a killed run leaves only that, and the next run removes it. The price: a folder is replaced by two renames, not one.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, EFBIG, EIO, ENAMETOOLONG, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, NerbertError, OutputExists, WriteError

MARKERS = ("manifest.json", "nerbert.json")
"""A folder that holds one of these was made by nerbert and may be overwritten on demand."""

_FULL = frozenset({ENOSPC, EDQUOT, EFBIG, EROFS})
"""Only writing fails with these."""
_DENIED = frozenset({EACCES, EPERM, ENAMETOOLONG, EIO})
"""Reading fails with these too, so the file must be the output's, or unnamed."""
_TOLD_NUMBER = re.compile(r"(?:errno |os error |Os \{ code: )(\d+)", re.IGNORECASE)
"""How pyarrow, safetensors and tokenizers tell the number where they raise no OSError with it."""


def check_free(target: Path, *, overwrite: bool) -> None:
    """Raise OutputExists if `target` is taken and may not be replaced; call it before long work."""
    if not target.name:
        raise InputError(f"{target}: can't be the output itself; name a folder in it")
    with _writing(target):
        if not target.exists() or _is_empty_folder(target):
            return
    if not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite")
    if not any((target / name).is_file() for name in MARKERS):
        raise OutputExists(
            f"{target}: not a folder that nerbert made, so --overwrite leaves it alone; delete it by hand"
        )


@contextmanager
def publish_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends well, and is removed when it doesn't."""
    check_free(target, overwrite=overwrite)
    partial = _partial(target)
    try:
        with _writing(target):
            _remove(partial)
            partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{target}: can't be made: {error.strerror}") from error
    with _writing(target):
        try:
            yield partial
            _replace_folder(partial, target)
        except BaseException:
            _remove(partial)
            raise


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield a temporary path whose file becomes `target` when the block ends well."""
    partial = _partial(target)
    with _writing(target):
        try:
            yield partial
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_json(target: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    with publish(target) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path, limit: int = 64 << 20) -> Any:
    """Read JSON of at most `limit` bytes; raise InputError that names the file and the place of the fault."""
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path}: {path.stat().st_size} bytes of JSON are more than the {limit} allowed")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}; the file is cut off or damaged") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON in UTF-8") from error


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Raise WriteError for what a full disk, a missing right or a long name raises; let all else pass."""
    try:
        yield
    except NerbertError:
        raise
    except Exception as error:
        place, number = getattr(error, "filename", None), _number_of(error)
        ours = not isinstance(place, str) or _belongs(Path(place), target)
        if number not in _FULL and not (number in _DENIED and ours):
            raise
        where, reason = target if ours else place, os.strerror(number)
        raise WriteError(f"{where}: can't be written: {reason}; free space or choose another place") from error


def _number_of(error: Exception) -> int:
    """The system's number of an error, 0 if it has none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    told = _TOLD_NUMBER.search(str(error))
    return int(told[1]) if told else 0


def _belongs(path: Path, target: Path) -> bool:
    """Whether `path` is the target, a folder above it, or inside what is to become it."""
    path, target = path.absolute(), target.absolute()
    return path in (target, *target.parents) or _partial(target) in (path, *path.parents)


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _replace_folder(partial: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old")
    _remove(old)
    if target.exists():
        target.replace(old)
    os.replace(partial, target)  # noqa: PTH105
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
