"""Everything written goes through `publish`: a temporary name beside the target, then one rename.

So a name that exists is whole, after a loss of power too: what is written reaches the disk before its name does, and
the price is to wait for that. A folder is filled as `.NAME.partial` and renamed when the block ends without an error;
a killed run leaves only that. The next run removes it, or, where the maker asks for that, goes on from what stands in
its `.resume`; so it is for a file that takes long (`publish_file`). The price: a folder is replaced by two renames, not
one.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from stat import S_ISLNK
from typing import IO, Any

from nerbert.errors import InputError, NerbertError, OutputExists, StaleOutput, WriteError
from nerbert.locks import held

MARKERS = ("manifest.json", "nerbert.json", "nerbert-onnx.json")
"""A folder that holds one of these was made by nerbert and may be overwritten on demand."""

RESUME = ".resume"
"""The part of a half-made folder that outlives a failure."""
_PLAN, _LOCK = "plan.json", "lock"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Only writing fails with these."""
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EIO})
"""Reading fails with these too, so the file must be the output's, or unnamed."""
_SYNCLESS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What one says that can't be told to write at once."""
_JSON = json.JSONEncoder(ensure_ascii=False)
_RAW_CONTROL = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TOLD_NUMBER = re.compile(r"(?:errno |os error |Os \{ code: )(\d+)", re.IGNORECASE)
"""How pyarrow, safetensors and tokenizers tell the number where they raise no OSError with it."""


def check_free(target: Path, *, overwrite: bool) -> None:
    """Raise OutputExists if `target` is taken and may not be replaced; call it before long work."""
    if not target.name:
        raise InputError(f"{target}: can't be the output itself; name a folder in it")
    with writing(target):
        if not target.exists() or _is_empty_folder(target):
            return
        if os.path.lexists(_used(target)):  # a run was killed just after its output had got its name
            check_own(_used(target))
            _remove(_used(target))
    if not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite")
    if not any((target / name).is_file() for name in MARKERS):
        raise OutputExists(
            f"{target}: not a folder that nerbert made, so --overwrite leaves it alone; delete it by hand"
        )


def check_free_file(target: Path, *, overwrite: bool) -> None:
    """Raise OutputExists or InputError if no file can become `target`; with `overwrite` a file may be replaced."""
    if target.exists() and not target.is_file():
        raise OutputExists(f"{target}: is no file; name one")
    if target.exists() and os.path.lexists(_used(target)) and not (_partial(target) / target.name).exists():
        check_own(_used(target), _partial(target))  # a run was killed just after its file had got its name
        _remove(_partial(target))
        _remove(_used(target))
    if target.exists() and not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; make it first")


@contextmanager
def publish_folder(target: Path, *, overwrite: bool = False, resume: Any = None) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends well, and is removed when it doesn't.

    With `resume`, a JSON value that says all that the work depends on, what the block writes below `RESUME` in the
    folder stays after a failure for the next run with an equal value; it is no part of `target`. A target that is a
    link is followed.
    """
    target = _followed(target)
    check_free(target, overwrite=overwrite)
    with _half_made(target, resume, overwrite=overwrite) as partial:
        yield partial
        _replace_folder(partial, target)


@contextmanager
def publish_file(target: Path, *, overwrite: bool = False, resume: Any) -> Iterator[Path]:
    """Yield a path in a folder of its own, whose file becomes `target` when the block ends well.

    For files that take long: what the block writes below `RESUME`, beside that path, stays after a failure for the next
    run with an equal `resume`, as in `publish_folder`. A target that is a link is followed.
    """
    target = _followed(target)
    check_free_file(target, overwrite=overwrite)
    with _half_made(target, resume, overwrite=overwrite) as partial:
        yield partial / target.name
        to_disk(partial / target.name)
        _replace_file(partial, target)


@contextmanager
def _half_made(target: Path, resume: Any, *, overwrite: bool) -> Iterator[Path]:
    """Provide the folder in which a target is made, locked against other runs; a failure keeps resumable work."""
    partial = _partial(target)
    try:
        with writing(target):
            check_own(partial, partial / RESUME, _used(target))
            if resume is None:
                _remove(partial)
            elif partial.exists() and _used(target).exists() and not (partial / RESUME).exists():
                _used(target).replace(partial / RESUME)
            partial.mkdir(parents=True, exist_ok=resume is not None)
    except OSError as error:
        raise InputError(f"{target}: can't be made: {error.strerror}") from error
    with writing(target), ExitStack() as stack:
        if resume is not None:
            stack.enter_context(_alone(partial, target))
            _restore(partial, target, resume, overwrite=overwrite)
        try:
            yield partial
        except BaseException as error:
            if resume is None or not _has_work(partial):
                _remove(partial)
            else:
                error.add_note("run the same command again to go on")
            raise


def partial_folder(target: Path) -> Path:
    """Return where `publish_folder` fills a folder before it gets its name."""
    return _partial(_followed(target))


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield a temporary path whose file becomes `target` when the block ends well."""
    draft = _draft(target)
    with writing(target):
        try:
            yield draft
            to_disk(draft)
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """Provide standard output as bytes, flushed at the end, so that a closed pipe is noticed here and not at exit."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WriteError(f"standard output: can't be written: {error.strerror}; free space") from error


def link_file(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with publish(target) as draft:
            shutil.copyfile(source, draft)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    with publish(target) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def json_line(value: Any) -> str:
    """Return readable JSON on one line, with control characters and lone surrogates escaped."""
    return _RAW_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", _JSON.encode(value))


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
    except (ValueError, RecursionError) as error:
        what = "in UTF-8" if isinstance(error, UnicodeDecodeError) else "that can be read (too deep, too long a number)"
        raise InputError(f"{path}: not JSON {what}") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def writing(target: Path) -> Iterator[None]:
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
    """Return the errno of an error, 0 if it has none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    told = _TOLD_NUMBER.search(str(error))
    return int(told[1]) if told else 0


def _belongs(path: Path, target: Path) -> bool:
    """Return whether `path` is the target, a folder above it, or inside what is to become it."""
    path, target = path.absolute(), target.absolute()
    ours = (path, *path.parents)
    return path in (target, *target.parents) or _partial(target) in ours or _draft(target) in ours


def _followed(target: Path) -> Path:
    """Return the target of a link, which need not exist; any other path as it is."""
    return Path(os.path.realpath(target)) if os.path.islink(target) else target  # noqa: PTH114


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _used(target: Path) -> Path:
    """Return the path to which resumable work moves just before a finished folder gets its name."""
    return target.with_name(f".{target.name}.used")


def _draft(target: Path) -> Path:
    """Return the path of an unfinished file, with this process's id: a killed run's worker may still write."""
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _SYNCLESS:
            raise
    finally:
        os.close(handle)


def check_own(*places: Path) -> None:
    """Raise OutputExists for what would lead the work, and its cleaning up, into a folder of someone else."""
    for place in places:
        if os.path.lexists(place):
            state = place.lstat()
            if S_ISLNK(state.st_mode) or state.st_uid != os.geteuid():
                raise OutputExists(f"{place}: is a link or another user's, so it is left alone; delete it by hand, "
                                   "or choose another output")  # fmt: skip


@contextmanager
def _alone(partial: Path, target: Path) -> Iterator[None]:
    """Raise OutputExists if another process makes the folder."""
    kept = partial / RESUME
    if kept.exists() and not kept.is_dir():
        _remove(kept)
    kept.mkdir(exist_ok=True)
    with held(kept / _LOCK, f"{target}: another run is making it; wait for its end or choose another place"):
        yield


def _restore(partial: Path, target: Path, resume: Any, *, overwrite: bool) -> None:
    """Delete everything from a half-made folder but what an equal run left to resume from."""
    kept, plan = partial / RESUME, partial / RESUME / _PLAN
    wanted = json.loads(json.dumps(resume))
    difference = _difference_from(plan, wanted)
    stale = bool(difference) and _has_work(partial)
    if stale and plan.exists() and not overwrite:
        raise StaleOutput(
            f"{target}: half made already, but from something else ({difference}); run as before, or pass --overwrite "
            "to begin anew"
        )
    drafts = kept.iterdir() if stale else kept.rglob(".*.partial")
    for path in [*partial.iterdir(), *drafts]:
        if path.name not in (RESUME, _LOCK):
            _remove(path)
    write_json(plan, wanted)


def _difference_from(plan: Path, wanted: Any) -> str:
    """Return the first difference between a run's plan and the wanted one; empty if there is none."""
    try:
        found = read_json(plan)
    except InputError:
        return f"{plan.name} can't be read"
    return _difference(found, wanted) if found != wanted else ""


def _has_work(partial: Path) -> bool:
    """Return whether a half-made folder holds more work than its plan; logs and unfinished files don't count."""
    files = (path.name for path in (partial / RESUME).rglob("*") if path.is_file())
    return any(name not in (_PLAN, _LOCK) and not name.endswith((".partial", ".jsonl")) for name in files)


def _difference(old: Any, new: Any, name: str = "") -> str:
    """Return the first place where two JSON values differ, with both."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(f"{name}.{key}".strip("."), old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(old, new, strict=True))]
    else:
        return f"{name}: {old!r:.80} then, {new!r:.80} now"
    return next(_difference(one, other, key) for key, one, other in pairs if one != other)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _replace_folder(partial: Path, target: Path) -> None:
    old, used = target.with_name(f".{target.name}.old"), _used(target)
    _remove(old)
    _remove(used)
    if (partial / RESUME).exists():
        (partial / RESUME).replace(used)
    if target.exists():
        target.replace(old)
    os.replace(partial, target)  # noqa: PTH105
    _remove(old)
    _remove(used)


def _replace_file(partial: Path, target: Path) -> None:
    """Give the file its name; the work that it was made from outlives a kill until then."""
    used = _used(target)
    _remove(used)
    (partial / RESUME).replace(used)
    os.replace(partial / target.name, target)  # noqa: PTH105
    _remove(partial)
    _remove(used)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
