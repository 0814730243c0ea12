"""Write every output: a draft next to the target (`.NAME.partial`), then one rename.

All long jobs use `publish_job`. Finished parts are in `.NAME.work`, with the job's key and its lock. After a kill, the
next run with the same key reuses them. Only a benchmark's folder grows in place: each of its parts has its own key.
Cost: writing waits for the disk. Replacing a folder takes two renames; the next run repairs a kill between them. Locks
work only between processes on the same machine, and need a file system that supports them.
"""

import errno
import glob
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE, S_ISLNK, S_ISREG
from typing import Any, Generic, NamedTuple, TypeVar

from nerbert.errors import InputError, OutputExists, StaleOutput, WriteError, refused
from nerbert.schema import difference, json_line, parse_json, read_json, to_plain

Result = TypeVar("Result")

MARKERS = ("manifest.json", "nerbert.json", "nerbert-onnx.json")
"""A folder that holds one of these files was made by nerbert and may be overwritten on demand."""

_LARGEST_MARK = 1 << 32
"""Maximum size of a mark, which may hold the result of a whole part, in bytes."""
_BLOCK = 1 << 20
_LOCKLESS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP})
"""Errors of a file system without locks."""
PLAN, LOCK, _OLD = "plan.json", "lock", "old"
"""Files in a work folder: the job's key, its lock, the output that it replaces."""
_RIGHT = "get the right to write there or {other}"
_WRITING = {
    errno.ENOSPC: "free space or {other}",
    errno.EDQUOT: "free space or {other}",
    errno.EROFS: "{other}",
    errno.EFBIG: "raise the limit (ulimit -f) or {other}",
}
"""Errors that only writing raises, and their remedies."""
_ANY_USE = {
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EIO: "check the disk or {other}",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Reading raises these errors too, so the error must name a file of the output, or none."""


class Draft(NamedTuple):
    """The paths that a long job writes to."""

    path: Path
    """The file or folder that becomes the target; the job fills it."""
    work: Path
    """A folder for finished parts and checkpoints, which a later run of the same job reuses."""


@dataclass(frozen=True, slots=True)
class Made(Generic[Result]):
    """The return value of `artifact`."""

    result: Result
    before: bool
    """True if an earlier run made it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    fingerprint: str
    checksums: list[int]
    """Checksums of the files, then of the result."""
    result: str
    """JSON; the last checksum is that of its bytes."""


def check_free(target: Path, *, overwrite: bool, file: bool = False) -> None:
    """Raise OutputExists or InputError if a folder (or file) can't become `target`; call it before long work."""
    # "." and "/" have no name to rename a draft to.
    if not target.name and not file:
        raise InputError(f"{target}: can't be the output itself; name a folder in it")
    # First, since a killed run may have left the old output under another name.
    finish(target)
    _check(target, overwrite=overwrite, file=file)
    if file and not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; make it first")


def check_apart(output: Path, inputs: Iterable[Path]) -> None:
    """Raise InputError if an output is an input, is inside one or contains one."""
    target = output.resolve()
    for path in inputs:
        source = path.resolve()
        if target.is_relative_to(source) or source.is_relative_to(target):
            raise InputError(f"{output}: is {path} itself, is in it or contains it; name a place outside it")


def _check(target: Path, *, overwrite: bool, file: bool) -> None:
    with writing(target):
        # An empty folder may be filled: users make one before they start.
        if not target.exists() or (not file and target.is_dir() and not any(target.iterdir())):
            return
        if file and not target.is_file():
            raise OutputExists(f"{target}: is no file; name one")
    if not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite (overwrite=True)")
    # A mistyped `-o ~` must not delete a home folder, even with --overwrite.
    if not file and not any((target / name).is_file() for name in MARKERS):
        raise OutputExists(
            f"{target}: not a folder that nerbert made, so --overwrite leaves it alone; delete it by hand"
        )


@contextmanager
def publish_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` (a link is followed), or is removed if the block raises an error."""
    with publish_job(target, None, overwrite=overwrite) as draft:
        yield draft.path


@contextmanager
def publish_job(
    target: Path, key: Any, *, overwrite: bool = False, file: bool = False, keep: Sequence[str] = ()
) -> Iterator[Draft]:
    """Yield the draft of a folder (or file) that takes long to make; it becomes `target` when the block succeeds.

    After a failure, finished parts in `Draft.work` stay for the next run with an equal `key`, a JSON value of all their
    inputs; with None nothing stays. Raise StaleOutput if there is work of another job, unless `overwrite` deletes it,
    and OutputExists while another process makes the target. A target that is a link is followed.

    With `keep`, names of folders in it, the target itself is the draft: a run's additions stay, however it ends.
    """
    # The draft must be on the disk of the real target, or renaming would fail.
    target = _follow_links(target)
    message = f"{target}: another run is making it; wait for its end or choose another place"
    if keep:
        with _grow(target, keep, message) as draft:
            yield draft
        return
    check_free(target, overwrite=overwrite, file=file)
    draft = draft_of(target)
    with refused(f"{target}: can't be made", of=OSError), writing(target):
        # Before anything is written: a planted link would lead it elsewhere.
        check_own(*draft)
        if not draft.work.is_dir():
            _remove(draft.work)
        draft.work.mkdir(parents=True, exist_ok=True)
    with writing(target), held(draft.work / LOCK, message):
        try:
            # Another run may have made it just now, before this one had the lock.
            _check(target, overwrite=overwrite, file=file)
        except OutputExists:
            if not _has_work(draft.work):
                shutil.rmtree(draft.work, ignore_errors=True)
            raise
        _restore(draft, target, key, overwrite=overwrite)
        try:
            # Inside, so that the note below is added to the converted error.
            with writing(target):
                # Before the work itself: after a kill, the next run compares its key with this one.
                if key is not None:
                    write_json(draft.work / PLAN, key)
                _remove(draft.path)
                draft.path.touch() if file else draft.path.mkdir()
                yield draft
                _complete(draft.path)
        except BaseException as error:
            if key is not None and _has_work(draft.work):
                error.add_note(f"{draft.path} and {draft.work} stay: rerun the command to resume, or delete both")
            else:
                _remove(draft.path)
                _remove(draft.work)
            raise
        # A folder can't be replaced by one rename; `finish` repairs a kill between the two.
        if target.is_dir():
            _remove(draft.work / _OLD)
            target.replace(draft.work / _OLD)
        os.replace(draft.path, target)  # noqa: PTH105
        # The output is whole by now, so a file that can't be deleted is no failure.
        shutil.rmtree(draft.work, ignore_errors=True)


@contextmanager
def _grow(target: Path, names: Sequence[str], message: str) -> Iterator[Draft]:
    folders = [target / name for name in names]
    with refused(f"{target}: can't be made or read", of=OSError):
        check_own(*folders)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    with held(target, message):
        yield Draft(target, target)


@contextmanager
def held(path: Path, taken: str, *, wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Lock a folder (by the file `.lock` in it) or a file made for it; raise OutputExists(`taken`) if it is locked.

    With `wait`, call it instead of raising, and wait for the lock. A dead process holds no lock.
    """
    from filelock import FileLock, Timeout

    inside = path / ".lock" if path.is_dir() else None
    # `thread_local=False`: another thread may release it.
    lock = FileLock(inside or path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        if wait is None:
            raise OutputExists(taken) from error
        wait()
        lock.acquire(poll_interval=0.2)
    except OSError as error:
        # Some network file systems have no locks: working without is better than not at all.
        if error.errno not in _LOCKLESS:
            raise
    try:
        yield
    finally:
        if inside is not None:
            # Windows can't remove an open file; filelock removes it there.
            with suppress(OSError):
                # Before the release: afterwards it could be the lock of another process.
                inside.unlink()
        lock.release()


def draft_of(target: Path) -> Draft:
    """Return the paths where `publish_job` makes a target, for the other processes of the job."""
    target = _follow_links(target)
    return Draft(target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.work"))


def artifact(
    mark: Path, fingerprint: str, files: Sequence[Path], make: Callable[[], Result], kind: type[Result]
) -> Made[Result]:
    """Return the result of `make`, which writes `files`; reuse that of an earlier run with an equal fingerprint.

    `mark` is a JSON file that is written last: the fingerprint, checksums, and the result, which is a `kind`.
    """
    with suppress(InputError, OSError):
        earlier = read_json(mark, _Mark, limit=_LARGEST_MARK)
        if earlier.fingerprint == fingerprint and earlier.checksums == _checksums(files, earlier.result):
            return Made(parse_json(earlier.result, kind, mark), before=True)
    # A kill during `make` must not leave the old mark beside new files.
    mark.unlink(missing_ok=True)
    result = make()
    with publish(mark) as draft:
        content = json_line(to_plain(result))
        draft.write_text(json_line(to_plain(_Mark(fingerprint, _checksums(files, content), content))), encoding="utf-8")
    return Made(result, before=False)


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield a temporary path whose file becomes `target` when the block succeeds.

    The path is new each time, since a worker of a killed run may still write to an earlier one.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}-{token_hex(4)}.partial")
    with writing(target):
        # In a job's own folders, workers write at the same time; there, `_complete` cleans up.
        if not any(part.endswith((".partial", ".work")) for part in target.parts):
            # A killed run has left it.
            for left in target.parent.glob(f".{glob.escape(target.name)}.*-*.partial"):
                left.unlink(missing_ok=True)
        try:
            yield draft
            try:
                # Before the rename: after a power cut, the new name could hold an empty file.
                to_disk(draft)
                draft.replace(target)
            # Another run has removed the draft as that of a killed run.
            except FileNotFoundError as error:
                raise OutputExists(f"{target}: another run is making it; choose another place") from error
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def link_file(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with publish(target) as draft:
            shutil.copyfile(source, draft)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    with publish(target) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """Return the SHA-256 of a file; an unchanged one is read once per process."""
    # Inode and times, too: a replaced file may have the same size.
    state = path.stat()
    return _sha256_of_state(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(1 << 16)
def _sha256_of_state(path: Path, *_state: int) -> str:
    return sha256_of(path)


def writing(target: Path) -> AbstractContextManager[None]:
    """Turn errors of a full disk, a missing right or a long name into WriteError; let all other errors pass."""
    return refused(partial(_write_error, target))


def _write_error(target: Path, error: BaseException) -> WriteError | None:
    if isinstance(error, OSError):
        path = error.filename
        ours = not isinstance(path, str) or _belongs(Path(path).absolute(), target.absolute())
        # Reading raises some of these as well, so the path must be one of the output's.
        if error.errno in _WRITING or (error.errno in _ANY_USE and ours):
            return unwritable(target if ours else str(path), error)
    # From safetensors or tokenizers, which don't raise OSError.
    elif "(os error " in str(error):
        return unwritable(target, error)
    return None


def _belongs(path: Path, target: Path) -> bool:
    """Return whether `path` is a folder above the target, is the target or its draft, or is inside one of these."""
    if path in target.parents:
        return True
    inside = path.relative_to(target.parent).parts if path.is_relative_to(target.parent) else ("",)
    return inside[0] == target.name or inside[0].startswith(f".{target.name}.")


def unwritable(place: Path | str, error: BaseException, other: str = "choose another place") -> WriteError:
    """Return the error for a path that can't be written: its cause and a remedy; `other` suggests another path."""
    number = getattr(error, "errno", None)
    remedy = (_WRITING | _ANY_USE).get(number or 0, "{other}").format(other=other)
    return WriteError(f"{place}: can't be written: {os.strerror(number) if number else error}; {remedy}")


def _follow_links(target: Path) -> Path:
    """Return the target of a link, which need not exist; return any other path unchanged."""
    return Path(os.path.realpath(target)) if os.path.islink(target) else target  # noqa: PTH114


def to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            # Other errors say that the file (a pipe, a mount) doesn't support fsync.
            if error.errno in _WRITING or error.errno == errno.EIO:
                raise


def check_own(*paths: Path) -> None:
    """Raise OutputExists for a link or another user's file, which could redirect writing and deleting elsewhere."""
    for path in paths:
        if os.path.lexists(path):
            state = path.lstat()
            if S_ISLNK(state.st_mode) or (hasattr(os, "geteuid") and state.st_uid != os.geteuid()):
                raise OutputExists(
                    f"{path}: is a link or another user's, so it is left alone; delete it by hand, "
                    "or choose another output"
                )


def _restore(draft: Draft, target: Path, key: Any, *, overwrite: bool) -> None:
    """Delete unfinished files from a work folder, and all work of a job with another key."""
    changed = ""
    if _has_work(draft.work):
        try:
            changed = difference(read_json(draft.work / PLAN, object, limit=_LARGEST_MARK), json.loads(json.dumps(key)))
        except InputError:
            changed = f"{PLAN} can't be read"
    if changed and not overwrite and key is not None:
        raise StaleOutput(
            f"{target}: half made already, but from something else ({changed}); run as before, or "
            "pass --overwrite to start again"
        )
    drafts = [*draft.work.rglob(".*.partial"), *draft.work.rglob(".*.work")]
    for path in draft.work.iterdir() if changed else drafts:
        # The lock is held by this run.
        if path.name != LOCK:
            _remove(path)


def _complete(draft: Path) -> None:
    """Sync a file to disk; clean up a folder, and make files readable that safetensors 0.8 made private."""
    if draft.is_file():
        to_disk(draft)
        return
    # A worker that died has left it; its task was run again.
    for left in draft.rglob(".*.partial"):
        _remove(left)
    for path in draft.rglob("*"):
        mode = path.lstat().st_mode
        # They get the readers of the folder, whose mode follows the umask.
        if S_ISREG(mode) and not mode & 0o077:
            path.chmod(S_IMODE(mode) | draft.stat().st_mode & 0o444)


def _has_work(work: Path) -> bool:
    """Return whether a work folder holds more than its plan; logs and unfinished files don't count."""
    files = (path.name for path in work.rglob("*") if path.is_file())
    return any(name not in (PLAN, LOCK) and not name.endswith((".partial", ".jsonl", ".lock")) for name in files)


def finish(target: Path) -> None:
    """Finish a run that was killed in its last steps: restore the old output, or delete the work that isn't needed."""
    draft = draft_of(target)
    with writing(target):
        check_own(*draft)
        if not draft.work.is_dir():
            return
        # OutputExists: another run is active.
        with suppress(OutputExists), held(draft.work / LOCK, ""):
            # Killed between the two renames: the old output comes back.
            if (draft.work / _OLD).exists() and not target.exists():
                (draft.work / _OLD).replace(target)
            # Killed after the last rename: the output is whole, and the work isn't needed.
            if target.exists() and not draft.path.exists():
                shutil.rmtree(draft.work)


def _checksums(files: Sequence[Path], result: str) -> list[int]:
    return [*map(checksum_of, files), zlib.crc32(result.encode())]


def checksum_of(path: Path) -> int:
    """Return the CRC-32 of a file, read in blocks."""
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _remove(path: Path) -> None:
    # Of a link to a folder only the link is removed.
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
