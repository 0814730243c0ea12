"""Write every output: a draft beside the target (`.NAME.partial`), then one rename.

All long jobs use `publish_job`. Finished parts are in `.NAME.work`, with the job's key and its lock; a kill leaves them
for the next run with that key. Only a benchmark's folder grows in place: each of its parts has a key of its own. Cost:
writing waits for the disk; a folder is replaced by two renames, and the next run repairs a kill between them; locks
guard against processes of one machine, and not at all where the file system has none.
"""

import errno
import glob
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
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
"""A folder that holds one of these was made by nerbert and may be overwritten on demand."""

_LARGEST_MARK = 1 << 32
"""Maximum bytes of a mark, which may hold the result of a whole part."""
_BLOCK = 1 << 20
_LOCKLESS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP})
"""Errors of a file system without locks."""
PLAN, LOCK, _OLD = "plan.json", "lock", "old"
"""Files in a work folder: what the job is made from, its lock, the output that it replaces."""
_RIGHT = "get the right to write there or {other}"
_WRITING = {
    errno.ENOSPC: "free space or {other}", errno.EDQUOT: "free space or {other}", errno.EROFS: "{other}",
    errno.EFBIG: "raise the limit (ulimit -f) or {other}",
}  # fmt: skip
"""Errors of writing alone, and what helps."""
_ANY_USE = {
    errno.EACCES: _RIGHT, errno.EPERM: _RIGHT, errno.EIO: "check the disk or {other}",
    errno.ENAMETOOLONG: "choose a shorter name",
}  # fmt: skip
"""Reading fails with these too, so the file must be the output's, or unnamed."""


class Draft(NamedTuple):
    """Where a long job writes."""

    path: Path
    """The file or folder that becomes the target; the job makes it."""
    work: Path
    """A folder for finished parts and checkpoints, which a later run of the same job finds again."""


@dataclass(frozen=True, slots=True)
class Made(Generic[Result]):
    """What `artifact` returns."""

    result: Result
    before: bool
    """Whether an earlier run made it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    fingerprint: str
    checksums: list[int]
    """Of the files, and of the result."""
    result: str
    """JSON, whose bytes the last checksum is of."""


def check_free(target: Path, *, overwrite: bool, file: bool = False) -> None:
    """Raise OutputExists or InputError if a folder (or file) can't become `target`; call it before long work."""
    if not target.name and not file:
        raise InputError(f"{target}: can't be the output itself; name a folder in it")
    finish(target)
    _check(target, overwrite=overwrite, file=file)
    if file and not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; make it first")


def _check(target: Path, *, overwrite: bool, file: bool) -> None:
    with writing(target):
        if not target.exists() or (not file and target.is_dir() and not any(target.iterdir())):
            return
        if file and not target.is_file():
            raise OutputExists(f"{target}: is no file; name one")
    if not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite (overwrite=True)")
    if not file and not any((target / name).is_file() for name in MARKERS):
        raise OutputExists(
            f"{target}: not a folder that nerbert made, so --overwrite leaves it alone; delete it by hand"
        )


@contextmanager
def publish_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` (a link is followed) if the block ends well, else is removed."""
    with publish_job(target, None, overwrite=overwrite) as draft:
        yield draft.path


@contextmanager
def publish_job(
    target: Path, key: Any, *, overwrite: bool = False, file: bool = False, keep: Sequence[str] = ()
) -> Iterator[Draft]:
    """Yield the draft of a folder (or file) that takes long; it becomes `target` when the block ends well.

    Finished parts in `Draft.work` stay after a failure for the next run with an equal `key`, a JSON value that holds
    all that they depend on; with None nothing stays. Raise StaleOutput if there is work of another job, which
    `overwrite` deletes, and OutputExists while another process makes the target. A target that is a link is followed.

    With `keep`, names of folders in it, the target itself is the draft: what a run adds stays, however it ends.
    """
    target = _follow_links(target)
    message = f"{target}: another run is making it; wait for its end or choose another place"
    if keep:
        with _grow(target, keep, message) as draft:
            yield draft
        return
    check_free(target, overwrite=overwrite, file=file)
    draft = draft_of(target)
    with refused(f"{target}: can't be made", of=OSError), writing(target):
        check_own(*draft)
        if not draft.work.is_dir():
            _remove(draft.work)
        draft.work.mkdir(parents=True, exist_ok=True)
    with writing(target), held(draft.work / LOCK, message):
        try:
            _check(target, overwrite=overwrite, file=file)  # another run may just have made it
        except OutputExists:
            if not _has_work(draft.work):
                shutil.rmtree(draft.work, ignore_errors=True)
            raise
        _restore(draft, target, key, overwrite=overwrite)
        try:
            with writing(target):  # so that the note below is on the error that leaves
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
        if target.is_dir():
            _remove(draft.work / _OLD)
            target.replace(draft.work / _OLD)
        os.replace(draft.path, target)  # noqa: PTH105
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

    With `wait`, call that instead, and wait for the lock. A dead process holds none.
    """
    from filelock import FileLock, Timeout

    inside = path / ".lock" if path.is_dir() else None
    lock = FileLock(inside or path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        if wait is None:
            raise OutputExists(taken) from error
        wait()
        lock.acquire(poll_interval=0.2)
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise
    try:
        yield
    finally:
        if inside is not None:
            with suppress(OSError):  # Windows removes no open file; filelock does so there
                inside.unlink()
        lock.release()


def draft_of(target: Path) -> Draft:
    """Return where `publish_job` makes a target, for the other processes of the job."""
    target = _follow_links(target)
    return Draft(target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.work"))


def artifact(
    mark: Path, fingerprint: str, files: Sequence[Path], make: Callable[[], Result], kind: type[Result]
) -> Made[Result]:
    """Return what `make`, which writes `files`, returned; call it unless an earlier run did for an equal fingerprint.

    `mark` is a JSON file that is written last: the fingerprint, checksums, and the result, which is a `kind`.
    """
    with suppress(InputError, OSError):
        earlier = read_json(mark, _Mark, limit=_LARGEST_MARK)
        if earlier.fingerprint == fingerprint and earlier.checksums == _checksums(files, earlier.result):
            return Made(parse_json(earlier.result, kind, mark), before=True)
    mark.unlink(missing_ok=True)
    result = make()
    with publish(mark) as draft:
        content = json_line(to_plain(result))
        draft.write_text(json_line(to_plain(_Mark(fingerprint, _checksums(files, content), content))), encoding="utf-8")
    return Made(result, before=False)


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield a temporary path whose file becomes `target` when the block ends well.

    The path is new each time: a worker of a killed run may still write another one.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}-{token_hex(4)}.partial")
    with writing(target):
        if not any(part.endswith((".partial", ".work")) for part in target.parts):
            for left in target.parent.glob(f".{glob.escape(target.name)}.*-*.partial"):  # by a run that was killed
                left.unlink(missing_ok=True)
        try:
            yield draft
            try:
                to_disk(draft)
                draft.replace(target)
            except FileNotFoundError as error:  # it took the draft for that of a killed run
                raise OutputExists(f"{target}: another run is making it; choose another place") from error
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """Return the SHA-256 of a file; an unchanged one is read once per process."""
    state = path.stat()
    return _sha256_of_state(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(1 << 16)
def _sha256_of_state(path: Path, *_state: int) -> str:
    return sha256_of(path)


def writing(target: Path) -> AbstractContextManager[None]:
    """Raise WriteError for what a full disk, a missing right or a long name raises inside; let all else pass."""
    return refused(partial(_write_error, target))


def _write_error(target: Path, error: BaseException) -> WriteError | None:
    if isinstance(error, OSError):
        path = error.filename
        ours = not isinstance(path, str) or _belongs(Path(path).absolute(), target.absolute())
        if error.errno in _WRITING or (error.errno in _ANY_USE and ours):
            return unwritable(target if ours else str(path), error)
    elif "(os error " in str(error):  # of safetensors or tokenizers, whose errors are no OSErrors
        return unwritable(target, error)
    return None


def _belongs(path: Path, target: Path) -> bool:
    """Return whether `path` is a folder above the target, or is what becomes it, or is inside."""
    if path in target.parents:
        return True
    inside = path.relative_to(target.parent).parts if path.is_relative_to(target.parent) else ("",)
    return inside[0] == target.name or inside[0].startswith(f".{target.name}.")


def unwritable(place: Path | str, error: BaseException, other: str = "choose another place") -> WriteError:
    """Return the error for a path that can't be written: why, and what helps; `other` asks for another place."""
    number = getattr(error, "errno", None)
    remedy = (_WRITING | _ANY_USE).get(number or 0, "{other}").format(other=other)
    return WriteError(f"{place}: can't be written: {os.strerror(number) if number else error}; {remedy}")


def _follow_links(target: Path) -> Path:
    """Return the target of a link, which need not exist; any other path as it is."""
    return Path(os.path.realpath(target)) if os.path.islink(target) else target  # noqa: PTH114


def to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno in _WRITING or error.errno == errno.EIO:  # others mean that it can't be waited for
                raise


def check_own(*paths: Path) -> None:
    """Raise OutputExists for what would lead the work, and its cleaning up, into a folder of someone else."""
    for path in paths:
        if os.path.lexists(path):
            state = path.lstat()
            if S_ISLNK(state.st_mode) or (hasattr(os, "geteuid") and state.st_uid != os.geteuid()):
                raise OutputExists(f"{path}: is a link or another user's, so it is left alone; delete it by hand, "
                                   "or choose another output")  # fmt: skip


def _restore(draft: Draft, target: Path, key: Any, *, overwrite: bool) -> None:
    """Delete unfinished files from a work folder, and all work of a job with another key."""
    changed = ""
    if _has_work(draft.work):
        try:
            changed = difference(read_json(draft.work / PLAN, object, limit=_LARGEST_MARK),
                                 json.loads(json.dumps(key)))  # fmt: skip
        except InputError:
            changed = f"{PLAN} can't be read"
    if changed and not overwrite and key is not None:
        raise StaleOutput(f"{target}: half made already, but from something else ({changed}); run as before, or "
                          "pass --overwrite to start again")  # fmt: skip
    drafts = [*draft.work.rglob(".*.partial"), *draft.work.rglob(".*.work")]
    for path in draft.work.iterdir() if changed else drafts:
        if path.name != LOCK:
            _remove(path)


def _complete(draft: Path) -> None:
    """Wait for a file; of a folder remove unfinished files, and give readers what safetensors 0.8 made for one user."""
    if draft.is_file():
        to_disk(draft)
        return
    for left in draft.rglob(".*.partial"):  # by a worker that died, whose task ran again
        _remove(left)
    for path in draft.rglob("*"):
        mode = path.lstat().st_mode
        if S_ISREG(mode) and not mode & 0o077:
            path.chmod(S_IMODE(mode) | draft.stat().st_mode & 0o444)


def _has_work(work: Path) -> bool:
    """Return whether a work folder holds more than its plan; logs and unfinished files don't count."""
    files = (path.name for path in work.rglob("*") if path.is_file())
    return any(name not in (PLAN, LOCK) and not name.endswith((".partial", ".jsonl", ".lock")) for name in files)


def finish(target: Path) -> None:
    """Do the last steps of a run that was killed between them: put an old output back, delete work that is used up."""
    draft = draft_of(target)
    with writing(target):
        check_own(*draft)
        if not draft.work.is_dir():
            return
        with suppress(OutputExists), held(draft.work / LOCK, ""):  # else another run is at work
            if (draft.work / _OLD).exists() and not target.exists():
                (draft.work / _OLD).replace(target)
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
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
