"""Write every output: a draft beside the target (`.NAME.partial`), then one rename.

A long job's finished parts are in `.NAME.work`, with its fingerprint and its lock. Cost: writing waits for the disk,
and a folder is replaced by two renames; the next run repairs a kill between them.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE, S_ISLNK, S_ISREG
from tempfile import gettempdir
from typing import IO, Any, Generic, NamedTuple, TypeVar

from nerbert.errors import InputError, NerbertError, OutputExists, StaleOutput, WriteError
from nerbert.locks import held
from nerbert.schema import parse_json, read_json, to_plain

Result = TypeVar("Result")

MARKERS = ("manifest.json", "nerbert.json", "nerbert-onnx.json")
"""A folder that holds one of these was made by nerbert and may be overwritten on demand."""

_LARGEST_MARK = 1 << 32
"""Maximum bytes of a mark, which may hold the result of a whole part."""
_BLOCK = 1 << 20
PLAN, LOCK, _OLD = "plan.json", "lock", "old"
"""Files in a work folder: what the job is made from, its lock, the output that it replaces."""


def _machine() -> str:
    """Return what tells this machine's and container's process ids from those of others; "" where that is unknown."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return hashlib.sha256(f"{boot}{os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:8]  # noqa: PTH115
    return ""


_MACHINE = _machine()
_TOKEN = _MACHINE or token_hex(4)
"""Beside the process id in a draft's name: on several machines, and in containers, process ids are equal."""

_FULL = {
    errno.ENOSPC: "free space or {other}", errno.EDQUOT: "free space or {other}", errno.EROFS: "{other}",
    errno.EFBIG: "raise the limit (ulimit -f) or {other}",
}  # fmt: skip
"""What to do where only writing fails."""
_DENIED = {
    errno.EACCES: "get the right to write there or {other}", errno.EPERM: "get the right to write there or {other}",
    errno.ENAMETOOLONG: "choose a shorter name", errno.EIO: "check the disk or {other}",
}  # fmt: skip
"""Reading fails with these too, so the file must be the output's, or unnamed."""
_SCRATCH = "nerbert-"
_looked_into = set[Path]()
"""Folders from which this process removed the drafts of dead ones: a folder may have very many files."""
_SYNCLESS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What one says that can't be made to write at once."""
_JSON = json.JSONEncoder(ensure_ascii=False)
_RAW_CONTROL = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TOLD_NUMBER = re.compile(r"(?:errno |os error |Os \{ code: )(\d+)", re.IGNORECASE)
"""How pyarrow, safetensors and tokenizers write the errno where they raise no OSError with it."""


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


def check_free(target: Path, *, overwrite: bool) -> None:
    """Raise OutputExists if a folder can't become `target`; call it before long work."""
    if not target.name:
        raise InputError(f"{target}: can't be the output itself; name a folder in it")
    finish(target)
    _check_folder(target, overwrite=overwrite)


def _check_folder(target: Path, *, overwrite: bool) -> None:
    with writing(target):
        if not target.exists() or (target.is_dir() and next(target.iterdir(), None) is None):
            return
    if not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite (overwrite=True)")
    if not any((target / name).is_file() for name in MARKERS):
        raise OutputExists(
            f"{target}: not a folder that nerbert made, so --overwrite leaves it alone; delete it by hand"
        )


def check_free_file(target: Path, *, overwrite: bool) -> None:
    """Raise OutputExists or InputError if no file can become `target`; with `overwrite` a file may be replaced."""
    with writing(target):
        if target.exists() and not target.is_file():
            raise OutputExists(f"{target}: is no file; name one")
        finish(target)
    _check_file(target, overwrite=overwrite)
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; make it first")


def check_target(target: Path, *, overwrite: bool, file: bool) -> None:
    """Raise OutputExists if a file or a folder can't become `target`; nothing is mended or removed."""
    (_check_file if file else _check_folder)(target, overwrite=overwrite)


def _check_file(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise OutputExists(f"{target}: exists already; choose another place or pass --overwrite (overwrite=True)")


@contextmanager
def publish_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` (a link is followed) if the block ends well, else is removed."""
    with publish_job(target, None, overwrite=overwrite) as draft:
        yield draft.path


@contextmanager
def publish_job(target: Path, fingerprint: Any, *, overwrite: bool = False, file: bool = False) -> Iterator[Draft]:
    """Yield the draft of a folder (or file) that takes long; it becomes `target` when the block ends well.

    Finished parts in `Draft.work` stay after a failure for the next run with an equal `fingerprint`, a JSON value that
    holds all that they depend on; with None nothing stays. Raise StaleOutput if there is work of another job, which
    `overwrite` deletes, and OutputExists while another process makes the target. A target that is a link is followed.
    """
    target = _followed(target)
    (check_free_file if file else check_free)(target, overwrite=overwrite)
    draft = draft_of(target)
    message = f"{target}: another run is making it; wait for its end or choose another place"
    with ExitStack() as stack:
        with making(target):
            check_own(*draft)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not draft.work.is_dir():
                _remove(draft.work)
                draft.work.mkdir(exist_ok=True)  # another run may just have made it
            stack.enter_context(held(draft.work / LOCK, message))
        stack.enter_context(writing(target))
        try:
            check_target(target, overwrite=overwrite, file=file)  # another run may just have made it
        except OutputExists:
            if not _has_work(draft.work):
                _remove_used(draft.work)
            raise
        _restore(draft, target, fingerprint, overwrite=overwrite)
        try:
            with writing(target):  # so that the note below is on the error that leaves
                if fingerprint is not None:
                    write_json(draft.work / PLAN, fingerprint)
                _remove(draft.path)
                draft.path.touch() if file else draft.path.mkdir()
                yield draft
                if file:
                    to_disk(draft.path)
                else:
                    for left in draft.path.rglob(".*.partial"):  # by a worker that died, whose task ran again
                        _remove(left)
                    _open_to_readers(draft.path)
        except BaseException as error:
            if fingerprint is not None and _has_work(draft.work):
                error.add_note(f"{draft.path} and {draft.work} stay: rerun the command to resume, or delete both")
            else:
                _remove(draft.path)
                _remove(draft.work)
            raise
        _replace(draft, target)


def draft_of(target: Path) -> Draft:
    """Return where `publish_job` makes a target, for the other processes of the job."""
    target = _followed(target)
    return Draft(target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.work"))


def artifact(
    mark: Path, fingerprint: str, files: Sequence[Path], make: Callable[[], Result], kind: type[Result]
) -> Made[Result]:
    """Return what `make`, which writes `files`, returned; call it unless an earlier run did for an equal fingerprint.

    `mark` is a JSON file that is written last: the fingerprint, checksums, and the result, which is a `kind`.
    """
    with suppress(InputError, OSError):
        found = read_json(mark, _Mark, limit=_LARGEST_MARK)
        if found.fingerprint == fingerprint and found.checksums == _checksums(files, found.result):
            return Made(parse_json(found.result, kind, mark), before=True)
    mark.unlink(missing_ok=True)
    result = make()
    with publish(mark) as draft:
        content = json_line(to_plain(result))
        draft.write_text(json_line(to_plain(_Mark(fingerprint, _checksums(files, content), content))), encoding="utf-8")
    return Made(result, before=False)


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield a temporary path whose file becomes `target` when the block ends well."""
    draft = _file_draft(target)
    with writing(target):
        if target.parent not in _looked_into:
            _looked_into.add(target.parent)
            _remove_of_dead(target.parent, r"\..*\.", r"\.partial")
        draft.unlink(missing_ok=True)  # of a killed process with this one's id
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
        raise unwritable("standard output", error) from error


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
        raise unwritable(target if ours else str(place), error) from error


def unwritable(place: Path | str, error: Exception, other: str = "choose another place") -> WriteError:
    """Return what to say of a place where writing fails: why, and what helps; `other` asks for another place."""
    number = _number_of(error)
    remedy = (_FULL | _DENIED).get(number, "{other}").format(other=other)
    return WriteError(f"{place}: can't be written: {os.strerror(number) if number else error}; {remedy}")


def _number_of(error: Exception) -> int:
    """Return the errno of an error, 0 if it has none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    size = _TOLD_NUMBER.search(str(error))
    return int(size[1]) if size else 0


def _belongs(path: Path, target: Path) -> bool:
    """Return whether `path` is the target, a folder above it, or inside what is to become it."""
    path, target = path.absolute(), target.absolute()
    ours = (path, *path.parents)
    return path in (target, *target.parents) or any(each in ours for each in (*draft_of(target), _file_draft(target)))


def _followed(target: Path) -> Path:
    """Return the target of a link, which need not exist; any other path as it is."""
    return Path(os.path.realpath(target)) if os.path.islink(target) else target  # noqa: PTH114


def _file_draft(target: Path) -> Path:
    """Return the path of an unfinished file, with this process's mark: a killed run's worker may still write."""
    return target.with_name(f".{target.name}.{os.getpid()}-{_TOKEN}.partial")


def scratch_prefix() -> str:
    """Return how the names of this process's temporary folders begin; what killed processes left is removed."""
    _remove_of_dead(Path(gettempdir()), _SCRATCH, r"-\w+")  # a folder's maker lives as long as the folder
    return f"{_SCRATCH}{os.getpid()}-{_TOKEN}-"


def _remove_of_dead(folder: Path, begin: str, end: str) -> None:
    """Remove what is named `BEGIN<process id>-<machine>END` after a process of this user here that was killed."""
    name = re.compile(rf"{begin}([0-9]{{1,9}})-{_MACHINE}{end}")
    with suppress(OSError):
        for found in filter(None, map(name.fullmatch, os.listdir(folder) if _MACHINE else ())):  # noqa: PTH208
            path = folder / found[0]
            if not _lives(int(found[1])) and path.lstat().st_uid == os.geteuid():
                _remove(path)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


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
def making(target: Path) -> Iterator[None]:
    """Raise InputError if the temporary names beside `target` can't be made."""
    try:
        with writing(target):
            yield
    except OSError as error:
        raise InputError(f"{target}: can't be made: {error.strerror}") from error


def _restore(draft: Draft, target: Path, fingerprint: Any, *, overwrite: bool) -> None:
    """Delete unfinished files from a work folder, and all work of a job with another fingerprint."""
    difference = _difference_from(draft.work / PLAN, fingerprint) if _has_work(draft.work) else ""
    if difference and not overwrite and fingerprint is not None:
        raise StaleOutput(f"{target}: half made already, but from something else ({difference}); run as before, or "
                          "pass --overwrite to start again")  # fmt: skip
    drafts = [*draft.work.rglob(".*.partial"), *draft.work.rglob(".*.work")]
    for path in draft.work.iterdir() if difference else drafts:
        if path.name != LOCK:
            _remove(path)


def _difference_from(plan: Path, fingerprint: Any) -> str:
    """Return the first difference between a run's fingerprint and the wanted one; empty if there is none."""
    wanted = json.loads(json.dumps(fingerprint))
    try:
        found: Any = read_json(plan, object, limit=_LARGEST_MARK)
    except InputError:
        return f"{plan.name} can't be read"
    return difference(found, wanted) if found != wanted else ""


def _open_to_readers(folder: Path) -> None:
    """Let files that a library made for its user alone (safetensors 0.8) be read by whom the folder is for."""
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if S_ISREG(mode) and not mode & 0o077:
            path.chmod(S_IMODE(mode) | folder.stat().st_mode & 0o444)


def _has_work(work: Path) -> bool:
    """Return whether a work folder holds more than its plan; logs and unfinished files don't count."""
    files = (path.name for path in work.rglob("*") if path.is_file())
    return any(name not in (PLAN, LOCK) and not name.endswith((".partial", ".jsonl", ".lock")) for name in files)


def difference(old: Any, new: Any, name: str = "") -> str:
    """Return the first place where two JSON values differ, with both; "" if one only lacks what the other has null."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(f"{name}.{key}".strip("."), old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(old, new, strict=True))]
    else:
        return f"{name}: {old!r:.80} then, {new!r:.80} now"
    return next((difference(one, other, key) for key, one, other in pairs if one != other), "")


def _replace(draft: Draft, target: Path) -> None:
    """Give the draft its name; a folder that has it moves into the work folder first."""
    if target.is_dir():
        _remove(draft.work / _OLD)
        target.replace(draft.work / _OLD)
    os.replace(draft.path, target)  # noqa: PTH105
    _remove_used(draft.work)


def finish(target: Path) -> None:
    """Do the last steps of a run that was killed between them: put an old output back, delete work that is used up.

    Raise WriteError if that can't be done.
    """
    with writing(target):
        _finish(target)


def _finish(target: Path) -> None:
    draft = draft_of(target)
    check_own(*draft)
    if not draft.work.is_dir():
        return
    try:
        with held(draft.work / LOCK, ""):
            if (draft.work / _OLD).exists() and not target.exists():
                (draft.work / _OLD).replace(target)
            if target.exists() and not draft.path.exists():
                _remove_used(draft.work)
    except (OutputExists, FileNotFoundError):  # the other run is still at work, or has just ended
        pass


def _checksums(files: Sequence[Path], result: str) -> list[int]:
    return [*map(checksum_of, files), zlib.crc32(result.encode())]


def checksum_of(path: Path) -> int:
    """Return the CRC-32 of a file, read in blocks."""
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _remove_used(work: Path) -> None:
    """Remove a work folder that is used up; once its lock is gone, another run may be removing it, too."""
    try:
        _remove(work)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
