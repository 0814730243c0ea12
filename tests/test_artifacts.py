import errno
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nerbert import artifacts
from nerbert.artifacts import (
    _TOKEN,
    artifact,
    check_free,
    check_free_file,
    draft_of,
    finish,
    json_line,
    link_file,
    publish,
    publish_folder,
    publish_job,
    scratch_prefix,
    sha256_of,
    write_json,
)
from nerbert.errors import InputError, OutputExists, StaleOutput, WriteError
from nerbert.locks import held
from nerbert.schema import read_json


def test_folder_appears_whole(tmp_path: Path) -> None:
    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_are_for_whom_the_folder_is_for(tmp_path: Path) -> None:
    """Libraries make files for their user alone (safetensors 0.8); the umask says who may read."""
    for mask, wanted in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            with publish_folder(tmp_path / f"{mask}") as folder:
                (folder / "below").mkdir()
                for path in (folder / "a", folder / "below" / "b"):
                    path.touch(0o600)
        finally:
            os.umask(before)
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / f"{mask}").rglob("*") if path.is_file()}
        assert modes == {wanted}


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), publish_folder(tmp_path / "out") as folder:
        (folder / "no such folder" / "a").write_text("1")
    assert list(tmp_path.iterdir()) == []


def test_leftover_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "old").write_text("1")
    with publish_folder(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_existing_output_is_refused_or_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text("{}")
    with pytest.raises(OutputExists, match="exists already; choose another place or pass --overwrite"):
        check_free(out, overwrite=False)
    with publish_folder(out, overwrite=True) as folder:
        (folder / "new").write_text("1")
    assert [path.name for path in out.iterdir()] == ["new"]


def test_overwrite_spares_what_nerbert_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(OutputExists, match="not a folder that nerbert made"):
        check_free(tmp_path / "home", overwrite=True)


def test_failed_overwrite_keeps_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text("old")
    with pytest.raises(RuntimeError), publish_folder(out, overwrite=True):
        raise RuntimeError
    assert (out / "manifest.json").read_text() == "old"


def test_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").is_file()


def test_output_below_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be made"), publish_folder(tmp_path / "file" / "out"):
        pass


def test_file_is_whole_or_absent(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), publish(tmp_path / "a") as partial:
        partial.write_text("half \ud800", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    write_json(tmp_path / "a", {"x": "ä"})
    assert read_json(tmp_path / "a", object) == {"x": "ä"}


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"nerbert")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"nerbert").hexdigest()


def test_overwrite_spares_files_and_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(OutputExists, match="not a folder that nerbert made"):
        check_free(tmp_path / "thesis.txt", overwrite=True)
    with pytest.raises(InputError, match="can't be the output itself"):
        check_free(Path(), overwrite=True)


FULL = """
import pathlib, resource, sys
import pyarrow as pa, pyarrow.parquet as pq
from nerbert.errors import WriteError
from nerbert.artifacts import publish, publish_folder, write_json

target = pathlib.Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

def json(): write_json(target, "x" * 5000)

def folder():
    with publish_folder(target) as folder:
        (folder / "a").write_text("x" * 5000)

def parquet():
    with publish(target) as partial:
        pq.write_table(pa.table({"a": [str(n) for n in range(5000)]}), partial)

def weights():
    import numpy
    from safetensors.numpy import save_file
    with publish_folder(target) as folder:
        save_file({"a": numpy.zeros(5000)}, folder / "a")

try:
    globals()[sys.argv[2]]()
except WriteError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["json", "folder", "parquet", "weights"])
def test_no_room_is_one_line(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "out"), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    why = "can't be written: File too large; raise the limit (ulimit -f) or choose another place"
    assert done.stdout == f"{tmp_path / 'out'}: {why}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_is_one_line(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    with pytest.raises(WriteError, match="x: can't be written: File name too long"):
        check_free(long, overwrite=False)
    with pytest.raises(WriteError, match="File name too long"), publish_folder(long):
        pass
    for name in ("x" * 300, "x" * 250):  # the draft's name is longer
        with pytest.raises(WriteError, match="File name too long; choose a shorter name"):
            write_json(tmp_path / name, {})
        with pytest.raises(WriteError, match="File name too long"):
            leave(tmp_path / name, {}, file=True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "", "/scratch/a"), "^/scratch/a: can't be written: No space left on device; free space"),
        (OSError(errno.EDQUOT, ""), "^out: can't be written: Disk quota exceeded; free space or choose another place$"),
        (OSError(errno.EROFS, ""), "^out: can't be written: Read-only file system; choose another place$"),
        (OSError(errno.EIO, ""), "out: can't be written: Input/output error; check the disk or choose another place"),
        (
            PermissionError(errno.EACCES, "", ".out.partial/a"),
            "^out: can't be written: Permission denied; get the right to write there or choose another place$",
        ),
        (OSError("[Errno 28] Error writing bytes"), "out: can't be written: No space left"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "out: can't be written: No space left"),
    ],
)
def test_what_writing_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WriteError, match=message), publish_folder(Path("out")):
        raise error


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "", "dump.xml"), FileNotFoundError(errno.ENOENT, ""), OSError("odd")]
)
def test_what_reading_raises_keeps_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(type(error)) as caught, publish_folder(Path("out")):
        raise error
    assert caught.value is error


def leave(target: Path, plan: object, *, overwrite: bool = False, file: bool = False) -> None:
    """A run that fails after some of its work."""

    def fail() -> None:
        with publish_job(target, plan, overwrite=overwrite, file=file) as (draft, work):
            (draft if file else draft / "other").write_text("half")
            (work / "part").write_text("done")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_resumes_where_it_was_left(tmp_path: Path) -> None:
    leave(tmp_path / "out", {"a": 1})
    assert names(tmp_path) == [".out.partial", ".out.work"]
    (tmp_path / ".out.work" / ".part.77.partial").write_text("torn")
    (tmp_path / ".out.work" / ".best.work").mkdir()
    with publish_job(tmp_path / "out", {"a": 1}) as (folder, work):
        assert (work / "part").read_text() == "done"
        assert names(work) == ["lock", "part", "plan.json"]
        assert names(folder) == []
        (folder / "a").write_text("1")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1}, {"a": 2}, "a: 1 then, 2 now"),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, r"a\.b\[1\]: 2 then, 3 now"),
        ({"a": [1]}, {"a": [1, 2]}, r"a: \[1\] then, \[1, 2\] now"),
        ({"a": 1}, {"a": 1, "b": "x"}, "b: None then, 'x' now"),
    ],
)
def test_work_for_something_else_is_an_error_or_overwritten(
    tmp_path: Path, old: object, new: object, told: str
) -> None:
    leave(tmp_path / "out", old)
    message = f"out: half made already, but from something else .{told}.; run as before, or pass --overwrite"
    with pytest.raises(StaleOutput, match=message), publish_job(tmp_path / "out", new):
        pass
    assert (tmp_path / ".out.work" / "part").exists()
    with publish_job(tmp_path / "out", new, overwrite=True) as (_, work):
        assert names(work) == ["lock", "plan.json"]


def test_a_quick_folder_in_its_place_deletes_the_work(tmp_path: Path) -> None:
    leave(tmp_path / "out", {"a": 1})
    with publish_folder(tmp_path / "out") as folder:
        assert names(folder) == []
    assert names(tmp_path) == ["out"]


def test_a_failure_before_any_work_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), publish_job(tmp_path / "out", {}):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [False, True])
def test_an_output_that_is_being_made_is_not_touched(tmp_path: Path, file: bool) -> None:
    with publish_job(tmp_path / "out", {}, file=file) as (draft, _):
        (draft if file else draft / "a").write_text("1")
        refused = pytest.raises(OutputExists, match="another run is making it")
        with refused, publish_job(tmp_path / "out", {}, overwrite=True, file=file):
            pass
        check_free(tmp_path / "out", overwrite=False)
        assert (draft if file else draft / "a").read_text() == "1"


def test_drafts_of_processes_that_were_killed_here_are_removed(tmp_path: Path) -> None:
    """Those of living processes and of other machines stay; this process's own is of one that had its number."""
    dead, living, elsewhere = f"{999_999_999}-{_TOKEN}", f"{os.getppid()}-{_TOKEN}", "999999999-0000dead"
    kept = [f".a.{each}.partial" for each in (living, elsewhere)]
    for name in (*kept, f".a.{dead}.partial", f".a.b.{dead}.partial", f".a.{os.getpid()}-{_TOKEN}.partial"):
        (tmp_path / name).touch()
    with publish(tmp_path / "a") as draft:
        draft.touch(exist_ok=False)
    assert names(tmp_path) == sorted([*kept, "a"])


def test_a_folder_is_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have very many files."""
    write_json(tmp_path / "a", 1)
    monkeypatch.setattr("os.listdir", lambda _: pytest.fail("it is listed again"))
    write_json(tmp_path / "b", 1)


def test_temporary_folders_of_processes_that_were_killed_here_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = [f"nerbert-{os.getppid()}-{_TOKEN}-ab", "nerbert-999999999-0000dead-ab", f"other-999999999-{_TOKEN}-ab"]
    for name in (f"nerbert-999999999-{_TOKEN}-ab_c", *kept):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    with tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
        assert names(tmp_path) == sorted([*kept, Path(folder).name])


@pytest.mark.parametrize("name", [".out.partial", ".out.work"])
@pytest.mark.parametrize("plan", [None, {}])
def test_a_planted_link_leads_nowhere(tmp_path: Path, name: str, plan: object) -> None:
    victim = tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    (victim / "letter").write_text("dear")
    (tmp_path / name).symlink_to(victim)
    message = r"(partial|work): is a link or another user's, so it is left alone; delete"
    with pytest.raises(OutputExists, match=message), publish_job(tmp_path / "out", plan, overwrite=True):
        pass
    assert names(victim) == ["letter", "sub"]


def test_another_users_work_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path / "out", {})
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(OutputExists, match="another user's"), publish_job(tmp_path / "out", {}):
        pass
    assert (tmp_path / ".out.work" / "part").exists()


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    with publish_job(tmp_path / "out", {}) as (folder, _):
        (folder / "a").write_text("1")
    assert names(tmp_path / "out") == ["a"]


def test_a_run_that_ended_while_this_one_took_the_lock_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run has deleted its work folder between this one's opening of the lock and its locking."""

    def late(*_: object) -> None:
        (tmp_path / ".out.work").rename(tmp_path / "gone")
        (tmp_path / "out").mkdir()

    monkeypatch.setattr("fcntl.flock", late)
    with pytest.raises(OutputExists, match="another run is making it"), publish_job(tmp_path / "out", {}):
        pass
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize("plan", ["", "[", "[]", '"x"'])
def test_a_torn_plan_is_other_work(tmp_path: Path, plan: str) -> None:
    leave(tmp_path / "out", {"a": 1})
    (tmp_path / ".out.work" / "plan.json").write_text(plan)
    with pytest.raises(StaleOutput, match="out: half made already, but"), publish_job(tmp_path / "out", {}):
        pass
    with publish_job(tmp_path / "out", {}, overwrite=True) as (_, work):
        assert not (work / "part").exists()


@pytest.mark.parametrize("name", [".out.partial", ".out.work"])
def test_a_file_where_a_folder_should_be_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a file")
    with publish_job(tmp_path / "out", {}):
        pass
    assert names(tmp_path) == ["out"]


def test_what_is_written_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("os.fsync", lambda handle: seen.append((os.fstat(handle).st_ino, (tmp_path / "a").exists())))
    write_json(tmp_path / "a", {})
    assert seen == [((tmp_path / "a").stat().st_ino, False)]


def test_a_file_system_that_cannot_be_waited_for_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> None:
        def refuse(_: int) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr("os.fsync", refuse)

    fail(errno.EINVAL)
    write_json(tmp_path / "a", {})
    fail(errno.ENOSPC)
    with pytest.raises(WriteError, match="No space left"):
        write_json(tmp_path / "b", {})


@pytest.mark.parametrize("file", [False, True])
def test_an_output_that_is_a_link_is_followed(tmp_path: Path, file: bool) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    with publish_job(tmp_path / "out", {}, file=file) as (draft, _):
        (draft if file else draft / "a").write_text("1")
    assert (tmp_path / "out").is_symlink()
    assert names(tmp_path / "disk") == ["real"]


def test_a_failure_says_how_to_resume_where_work_is_kept(tmp_path: Path) -> None:
    def stop() -> None:
        with publish_job(tmp_path / "out", {}) as (_, work):
            (work / "part").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        stop()
    (note,) = caught.value.__notes__
    places = f"{tmp_path}/.out.partial and {tmp_path}/.out.work"
    assert note == f"{places} stay: rerun the command to resume, or delete both"


def test_the_note_is_on_the_error_of_a_full_disk_too(tmp_path: Path) -> None:
    def fill() -> None:
        with publish_job(tmp_path / "out", {}) as (_, work):
            (work / "part").write_text("half")
            raise OSError(errno.ENOSPC, "")

    with pytest.raises(WriteError, match="No space left on device; free space") as caught:
        fill()
    (note,) = caught.value.__notes__
    assert note.endswith(" stay: rerun the command to resume, or delete both")


def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr("nerbert.artifacts.to_disk", full)
    with pytest.raises(WriteError, match=r"plan\.json: can't be written: No space"), publish_job(tmp_path / "out", {}):
        pass
    assert names(tmp_path) == []


def test_overwriting_resumes_too(tmp_path: Path) -> None:
    with publish_job(tmp_path / "out", {}) as (folder, _):
        (folder / "manifest.json").write_text("{}")
    leave(tmp_path / "out", {"a": 1}, overwrite=True)
    assert (tmp_path / "out" / "manifest.json").exists()
    with publish_job(tmp_path / "out", {"a": 1}, overwrite=True) as (_, work):
        assert (work / "part").exists()
    assert list((tmp_path / "out").iterdir()) == []


KILLED = """
import os, pathlib, signal, sys
from nerbert.artifacts import publish_job

target, when, file = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "file"
steps = 0

def step(of, name):
    plain = getattr(of, name)
    def counted(*given, **options):
        global steps
        if done:
            if steps == when:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
        return plain(*given, **options)
    setattr(of, name, counted)

done = False
for each in ("rename", "replace", "unlink", "rmdir"):
    step(os, each)
step(pathlib.Path, "replace")
with publish_job(target, {"a": 1}, overwrite=True, file=file) as (draft, work):
    (work / "part").write_text("done")
    (draft if file else draft / "manifest.json").write_text("new")
    done = True
print(steps)
"""


@pytest.mark.parametrize("file", [False, True])
@pytest.mark.parametrize("when", range(9))
def test_killed_between_the_last_steps_the_output_is_the_old_or_the_new_one(
    tmp_path: Path, when: int, file: bool
) -> None:
    """An output that is overwritten is never lost, and neither is the work before the new one is whole."""
    target, kind = tmp_path / "out", ("file" if file else "folder")
    if file:
        target.write_text("old")
    else:
        target.mkdir()
    content = target if file else target / "manifest.json"
    content.write_text("old")
    command = [sys.executable, "-c", KILLED, str(target), str(when), kind]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode in (-9, 0)
    assert killed.returncode == -9 or int(killed.stdout) <= when
    with pytest.raises(OutputExists, match="exists already"):
        (check_free_file if file else check_free)(target, overwrite=False)
    text = content.read_text()
    assert text == ("old" if (tmp_path / ".out.partial").exists() else "new")
    with publish_job(target, {"a": 1}, overwrite=True, file=file) as (draft, work):
        assert (work / "part").exists() == (text == "old")
        (draft if file else draft / "manifest.json").write_text("newer")
    assert content.read_text() == "newer"
    assert names(tmp_path) == ["out"]


def test_a_link_is_a_copy_where_links_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    (tmp_path / "a").write_text("1")
    link_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_ino == (tmp_path / "a").stat().st_ino
    monkeypatch.setattr("os.link", refuse)
    link_file(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "1"
    assert (tmp_path / "c").stat().st_ino != (tmp_path / "a").stat().st_ino


def test_a_file_resumes_where_it_was_left(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    leave(target, {"a": 1}, file=True)
    assert names(tmp_path) == [".out.txt.partial", ".out.txt.work"]
    with pytest.raises(StaleOutput, match=r"out\.txt: half made already, but from something else .a: 1 then, 2 now."):
        leave(target, {"a": 2}, file=True)
    with publish_job(target, {"a": 1}, file=True) as (draft, work):
        assert (draft.read_text(), (work / "part").read_text()) == ("", "done")
        draft.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(tmp_path) == ["out.txt"]


def test_a_file_is_replaced_on_demand(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(OutputExists, match="exists already"), publish_job(tmp_path / "out", {}, file=True):
        pass
    leave(tmp_path / "out", {}, overwrite=True, file=True)
    assert (tmp_path / "out").read_text() == "old"
    with publish_job(tmp_path / "out", {}, overwrite=True, file=True) as (draft, work):
        assert (work / "part").exists()
        draft.write_text("new")
    assert (tmp_path / "out").read_text() == "new"


def test_a_part_is_made_once(tmp_path: Path) -> None:
    made: list[str] = []

    def make(content: str) -> Counter[str]:
        (tmp_path / "part.txt").write_text(content)
        made.append(content)
        return Counter(content)

    def part(fingerprint: str, content: str) -> tuple[bool, Counter[str]]:
        files, mark = [tmp_path / "part.txt"], tmp_path / "part.json"
        found = artifact(mark, fingerprint, files, lambda: make(content), Counter[str])
        return found.before, found.result

    assert part("a", "aab") == (False, Counter(a=2, b=1))
    assert part("a", "other") == (True, Counter(a=2, b=1))
    assert part("b", "c") == (False, Counter(c=1)), "another fingerprint"
    (tmp_path / "part.txt").write_text("torn?")
    assert part("b", "cc") == (False, Counter(c=2)), "another size"
    (tmp_path / "part.json").write_text('{"fingerprint": "b", "checksums": [2]')
    assert part("b", "dd") == (False, Counter(d=2)), "a torn mark"
    checksums = [zlib.crc32(each) for each in (b"dd", b'{"d": "x"}')]
    mark = {"fingerprint": "b", "checksums": checksums, "result": '{"d": "x"}'}
    (tmp_path / "part.json").write_text(json.dumps(mark))
    assert part("b", "ee") == (False, Counter(e=2)), "a mark of another kind"
    (tmp_path / "part.txt").unlink()
    assert part("b", "ff") == (False, Counter(f=2)), "a file is gone"
    (tmp_path / "part.txt").write_text("fg")
    assert part("b", "gg") == (False, Counter(g=2)), "another bit in a file"
    text = (tmp_path / "part.json").read_text()
    (tmp_path / "part.json").write_text(text.replace(r"\"g\": 2", r"\"g\": 3"))
    assert part("b", "hh") == (False, Counter(h=2)), "another bit in a result"
    assert made == ["aab", "c", "cc", "dd", "ee", "ff", "gg", "hh"]


def test_a_part_that_fails_has_no_mark(tmp_path: Path) -> None:
    def fail() -> int:
        raise RuntimeError

    assert artifact(tmp_path / "part.json", "a", [], lambda: 1, int).result == 1
    with pytest.raises(RuntimeError):
        artifact(tmp_path / "part.json", "b", [], fail, int)
    assert list(tmp_path.iterdir()) == []


def test_a_line_of_json_can_always_be_written_and_shown() -> None:
    line = json_line({"a\x7f": "\x9b\u2028\ud800\n\x1b ä"})
    assert line == '{"a\\u007f": "\\u009b\\u2028\\ud800\\n\\u001b ä"}'
    assert line.encode()


@pytest.mark.parametrize("file", [False, True])
def test_what_another_run_made_meanwhile_is_not_replaced(
    tmp_path: Path, file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def slow(path: Path, taken: str) -> Iterator[None]:
        with held(path, taken):
            (tmp_path / "out").write_text("1") if file else (tmp_path / "out" / "a").mkdir(parents=True)
            yield

    monkeypatch.setattr("nerbert.artifacts.held", slow)
    with pytest.raises(OutputExists, match="exists already"), publish_job(tmp_path / "out", None, file=file):
        pytest.fail("the output is there")
    assert (tmp_path / "out").read_text() == "1" if file else (tmp_path / "out" / "a").is_dir()
    assert names(tmp_path) == ["out"]


def test_a_run_whose_work_folder_another_one_removes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def late(path: Path, taken: str) -> Iterator[None]:
        path.parent.rmdir()
        with held(path, taken):
            yield

    monkeypatch.setattr("nerbert.artifacts.held", late)
    with pytest.raises(OutputExists, match="out: another run is making it; wait for"), publish_folder(tmp_path / "out"):
        pytest.fail("nobody holds it")


def test_a_work_folder_that_another_run_makes_at_that_moment_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = artifacts._remove

    def slow(path: Path) -> None:
        remove(path)
        if path.name == ".out.work":
            monkeypatch.undo()
            path.mkdir()

    monkeypatch.setattr(artifacts, "_remove", slow)
    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTEMPTY])
def test_work_that_two_runs_remove_at_once_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Its lock went first, so another run could take it, and find the output made."""

    def torn(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path / "lock"))

    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
        monkeypatch.setattr("shutil.rmtree", torn)
    assert names(tmp_path / "out") == ["a"]
    finish(tmp_path / "out")
    monkeypatch.undo()
    finish(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_a_fingerprint_that_lacks_what_was_null_is_the_same(tmp_path: Path) -> None:
    draft = draft_of(tmp_path / "out")
    draft.path.mkdir()
    draft.work.mkdir()
    (draft.work / "part").write_text("1")
    write_json(draft.work / "plan.json", {"a": None, "b": 1})
    with publish_job(tmp_path / "out", {"b": 1}) as draft:
        assert (draft.work / "part").read_text() == "1"
