import errno
import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nerbert.artifacts import (
    artifact,
    check_free,
    held,
    link_file,
    publish,
    publish_folder,
    publish_job,
    sha256_of,
    write_json,
)
from nerbert.errors import InputError, NerbertError, OutputExists, StaleOutput, WriteError
from nerbert.schema import json_line
from tests.raised import raises, raising

RESUME = "{0}/.out.partial and {0}/.out.work stay: rerun the command to resume, or delete both"
both = pytest.mark.parametrize("file", [False, True])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave(
    target: Path, plan: object, *, overwrite: bool = False, file: bool = False, error: BaseException | None = None
) -> pytest.ExceptionInfo[BaseException]:
    """A run that fails after some of its work."""

    def fail() -> None:
        with publish_job(target, plan, overwrite=overwrite, file=file) as (draft, work):
            (draft if file else draft / "other").write_text("half")
            (work / "part").write_text("done")
            raise error or RuntimeError

    with pytest.raises((RuntimeError, KeyboardInterrupt, WriteError)) as caught:
        fail()
    return caught


def make(target: Path, plan: object = None, *, overwrite: bool = False, file: bool = False) -> None:
    """A run that ends well."""
    with publish_job(target, plan, overwrite=overwrite, file=file) as (draft, _):
        (draft if file else draft / "manifest.json").write_text("new")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for wanted in (["a"], ["b"]):
        with publish_folder(out, overwrite=True) as folder:
            (folder / wanted[0]).write_text("1")
            (folder / "manifest.json").touch()
            assert not (out / wanted[0]).exists()
        assert names(out) == [*wanted, "manifest.json"]
    with pytest.raises(FileNotFoundError), publish_folder(tmp_path / "other") as folder:
        (folder / "no such folder" / "a").write_text("1")
    with pytest.raises(RuntimeError), publish_folder(out, overwrite=True) as folder:
        raise RuntimeError
    assert (names(tmp_path), names(out)) == (["out"], ["b", "manifest.json"])


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


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), publish(tmp_path / "a") as partial:
        partial.write_text("half \ud800", encoding="utf-8")
    assert names(tmp_path) == []
    write_json(tmp_path / "a", {"x": "ä"})
    assert (tmp_path / "a").read_text(encoding="utf-8") == '{\n  "x": "ä"\n}\n'
    assert sha256_of(tmp_path / "a") == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EDQUOT, ""), "Disk quota exceeded; free space or choose another place"),
        (OSError(errno.EFBIG, ""), r"File too large; raise the limit \(ulimit -f\) or choose another place"),
        (OSError(errno.EROFS, ""), "Read-only file system; choose another place"),
        (OSError(errno.EIO, ""), "Input/output error; check the disk or choose another place"),
        (
            PermissionError(errno.EACCES, "", ".out.partial/a"),
            "Permission denied; get the right to write there or choose another place",
        ),
        (OSError(errno.ENOSPC, "", "/scratch/a"), "No space left on device; free space or choose another place"),
    ],
)
def test_what_writing_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    at = "/scratch/a" if "/scratch" in str(error) else "out"
    with pytest.raises(WriteError, match=f"^{at}: can't be written: {told}"), publish_folder(Path("out")):
        raise error


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "", "dump.xml"), FileNotFoundError(errno.ENOENT, ""), OSError("odd")]
)
def test_what_reading_raises_keeps_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(type(error)) as caught, publish_folder(Path("out")):
        raise error
    assert caught.value is error


def refusals(at: Path) -> dict[str, tuple[Callable[[], object], type[NerbertError], str]]:
    """Acts on a folder with a home that nerbert didn't make and a corpus that it made, and how each is refused."""
    long, longer = at / ("x" * 250), at / ("x" * 300)  # the draft's name is longer
    home, corpus, letter = at / "home", at / "corpus", at / "home" / "letter"
    long_name = "x: can't be written: File name too long; choose a shorter name"
    return {
        "it is there": (
            lambda: check_free(corpus, overwrite=False),
            OutputExists,
            "corpus: exists already; choose another place or pass --overwrite",
        ),
        "not nerbert's": (
            lambda: check_free(home, overwrite=True),
            OutputExists,
            "home: not a folder that nerbert made, so --overwrite leaves it alone",
        ),
        "a file": (lambda: check_free(letter, overwrite=True), OutputExists, "letter: not a folder that nerbert made"),
        "the working folder": (lambda: check_free(Path(), overwrite=True), InputError, "can't be the output itself"),
        "no file": (lambda: check_free(home, overwrite=True, file=True), OutputExists, "home: is no file; name one"),
        "a file is there": (
            lambda: check_free(letter, overwrite=False, file=True),
            OutputExists,
            "letter: exists already; choose another place or pass --overwrite",
        ),
        "no folder for a file": (
            lambda: check_free(at / "none" / "a", overwrite=False, file=True),
            InputError,
            "none: no such folder; make it first",
        ),
        "below a file": (lambda: make(letter / "out"), InputError, "out: can't be made: "),
        "long": (lambda: check_free(longer, overwrite=False), WriteError, long_name),
        "long folder": (lambda: make(longer), WriteError, long_name),
        "long JSON": (lambda: write_json(long, {}), WriteError, long_name),
        "longer JSON": (lambda: write_json(longer, {}), WriteError, long_name),
        "long job": (lambda: make(long, {}, file=True), WriteError, long_name),
        "longer job": (lambda: make(longer, {}, file=True), WriteError, long_name),
    }


@pytest.mark.parametrize("what", refusals(Path()))
def test_outputs_that_are_refused(tmp_path: Path, what: str) -> None:
    for path in ("home/letter", "corpus/manifest.json"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("dear")
    act, kind, words = refusals(tmp_path)[what]
    with raises(kind, words=words):
        act()
    assert names(tmp_path) == ["corpus", "home"]
    assert names(tmp_path / "home") == ["letter"]


@both
def test_work_is_resumed_where_it_was_left(tmp_path: Path, file: bool) -> None:
    target = tmp_path / "out"
    leave(target, {"a": 1}, file=file)
    assert names(tmp_path) == [".out.partial", ".out.work"]
    (tmp_path / ".out.work" / ".part.77.partial").write_text("torn")
    (tmp_path / ".out.work" / ".best.work").mkdir()
    with publish_job(target, {"a": 1}, file=file) as (draft, work):
        assert (work / "part").read_text() == "done"
        assert names(work) == ["lock", "part", "plan.json"]
        assert (draft.read_text() == "") if file else (names(draft) == [])
        (draft if file else draft / "a").write_text("whole")
        assert not target.exists()
    assert names(tmp_path) == ["out"]
    assert (target if file else target / "a").read_text() == "whole"


@both
def test_overwriting_keeps_the_old_one_until_the_new_one_is_whole(tmp_path: Path, file: bool) -> None:
    target = tmp_path / "out"
    content = target if file else target / "manifest.json"
    make(target, {}, file=file)
    content.write_text("old")
    with raises(OutputExists), publish_job(target, {}, file=file):
        pytest.fail("it is there")
    leave(target, {"a": 1}, overwrite=True, file=file)
    assert content.read_text() == "old"
    with publish_job(target, {"a": 1}, overwrite=True, file=file) as (draft, work):
        assert (work / "part").exists()
        (draft if file else draft / "manifest.json").write_text("new")
    assert (content.read_text(), names(tmp_path)) == ("new", ["out"])


@both
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('{"a": 1}', {"a": 2}, "(a: 1 then, 2 now)"),
        ('{"a": {"b": [1, 2]}}', {"a": {"b": [1, 3]}}, "(a.b[1]: 2 then, 3 now)"),
        ('{"a": [1]}', {"a": [1, 2]}, "(a: [1] then, [1, 2] now)"),
        ('{"a": 1}', {"a": 1, "b": "x"}, "(b: None then, 'x' now)"),
        ("", {}, "(plan.json can't be read)"),
        ("[", {}, "(plan.json can't be read)"),
        ("[]", {}, "(: [] then, {} now)"),
        ('"x"', {}, "(: 'x' then, {} now)"),
    ],
)
def test_work_for_something_else_is_an_error_or_overwritten(
    tmp_path: Path, old: str, new: object, told: str, file: bool
) -> None:
    leave(tmp_path / "out", {}, file=file)
    (tmp_path / ".out.work" / "plan.json").write_text(old)
    message = f"out: half made already, but from something else {told}; run as before, or pass --overwrite"
    with raises(StaleOutput, words=message), publish_job(tmp_path / "out", new, file=file):
        pass
    assert (tmp_path / ".out.work" / "part").exists()
    with publish_job(tmp_path / "out", new, overwrite=True, file=file) as (_, work):
        assert names(work) == ["lock", "plan.json"]


def test_a_fingerprint_that_lacks_what_was_null_is_the_same(tmp_path: Path) -> None:
    leave(tmp_path / "out", {"a": None, "b": 1})
    with publish_job(tmp_path / "out", {"b": 1}) as draft:
        assert (draft.work / "part").read_text() == "done"


LEFT: dict[str, Callable[[Path], object]] = {
    "an empty folder": Path.mkdir,
    "work of a long job": lambda out: leave(out, {"a": 1}),
    "a draft of a killed run": lambda out: (out.with_name(".out.partial") / "old").mkdir(parents=True),
    "a file for the draft": lambda out: out.with_name(".out.partial").touch(),
    "a file for the work": lambda out: out.with_name(".out.work").touch(),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_is_left_makes_way(tmp_path: Path, left: str) -> None:
    LEFT[left](tmp_path / "out")
    make(tmp_path / "out")
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], ["manifest.json"])


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt(), OSError(errno.ENOSPC, "")])
def test_a_failure_says_how_to_resume_where_work_is_kept(tmp_path: Path, error: BaseException) -> None:
    kind = WriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(kind), publish_job(tmp_path / "out", {}):
        raise error
    assert names(tmp_path) == []
    caught = leave(tmp_path / "out", {}, error=error)
    assert (caught.type, caught.value.__notes__) == (kind, [RESUME.format(tmp_path)])
    assert names(tmp_path) == [".out.partial", ".out.work"]


@both
def test_an_output_that_is_being_made_is_not_touched(tmp_path: Path, file: bool) -> None:
    with publish_job(tmp_path / "out", {}, file=file) as (draft, _):
        (draft if file else draft / "a").write_text("1")
        refused = raises(OutputExists, words="out: another run is making it; wait for its end or choose another place")
        with refused, publish_job(tmp_path / "out", {}, overwrite=True, file=file):
            pass
        check_free(tmp_path / "out", overwrite=False)
        assert (draft if file else draft / "a").read_text() == "1"


@pytest.mark.parametrize("name", [".out.partial", ".out.work"])
@pytest.mark.parametrize("plan", [None, {}])
def test_a_planted_link_leads_nowhere(tmp_path: Path, name: str, plan: object) -> None:
    victim = tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    (victim / "letter").write_text("dear")
    (tmp_path / name).symlink_to(victim)
    message = f"{name}: is a link or another user's, so it is left alone; delete it by hand"
    with raises(OutputExists, words=message), publish_job(tmp_path / "out", plan, overwrite=True):
        pass
    assert names(victim) == ["letter", "sub"]


def test_another_users_work_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path / "out", {})
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with raises(OutputExists), publish_job(tmp_path / "out", {}):
        pass
    assert (tmp_path / ".out.work" / "part").exists()


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("fcntl.flock", raising(OSError(number, "no locks here")))
    make(tmp_path / "out", {})
    assert names(tmp_path) == ["out"]


def test_what_is_written_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("os.fsync", lambda handle: seen.append((os.fstat(handle).st_ino, (tmp_path / "a").exists())))
    write_json(tmp_path / "a", {})
    make(tmp_path / "b", file=True)
    assert seen == [((tmp_path / "a").stat().st_ino, False), ((tmp_path / "b").stat().st_ino, True)]


def test_a_file_system_that_cannot_be_waited_for_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", raising(OSError(errno.EINVAL, "no")))
    write_json(tmp_path / "a", {})
    monkeypatch.setattr("os.fsync", raising(OSError(errno.ENOSPC, "no")))
    with raises(WriteError):
        write_json(tmp_path / "b", {})
    with raises(WriteError, words="plan.json: can't be written: No space"), publish_job(tmp_path / "out", {}):
        pass
    assert names(tmp_path) == ["a"], "a disk that is full from the start is left as it was"


@both
def test_an_output_that_is_a_link_is_followed(tmp_path: Path, file: bool) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    make(tmp_path / "out", {}, file=file)
    assert (tmp_path / "out").is_symlink()
    assert names(tmp_path / "disk") == ["real"]


KILLED = """
import os, pathlib, signal, sys
from nerbert.artifacts import publish_job

target, when, file = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
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


@both
@pytest.mark.parametrize("when", range(9))
def test_killed_between_the_last_steps_the_output_is_the_old_or_the_new_one(
    tmp_path: Path, when: int, file: bool
) -> None:
    """An output that is overwritten is never lost, and neither is the work before the new one is whole."""
    target = tmp_path / "out"
    content = target if file else target / "manifest.json"
    make(target, file=file)
    content.write_text("old")
    command = [sys.executable, "-c", KILLED, str(target), str(when), str(file)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -9 or int(killed.stdout) <= when
    with raises(OutputExists):
        check_free(target, overwrite=False, file=file)
    text = content.read_text()
    assert text == ("old" if (tmp_path / ".out.partial").exists() else "new")
    with publish_job(target, {"a": 1}, overwrite=True, file=file) as (draft, work):
        assert (work / "part").exists() == (text == "old")
        (draft if file else draft / "manifest.json").write_text("newer")
    assert (content.read_text(), names(tmp_path)) == ("newer", ["out"])


def test_a_link_is_a_copy_where_links_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("1")
    link_file(tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr("os.link", raising(OSError(errno.EPERM, "no links here")))
    link_file(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "1"
    a, b, c = ((tmp_path / name).stat().st_ino for name in "abc")
    assert (b == a, c == a) == (True, False)


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
    with pytest.raises(RuntimeError):
        artifact(tmp_path / "part.json", "c", [], raising(RuntimeError()), type(None))
    assert names(tmp_path) == ["part.txt"], "one that fails has no mark"


def test_a_line_of_json_can_always_be_written_and_shown() -> None:
    line = json_line({"a\x7f": "\x9b\u2028\ud800\n\x1b ä"})
    assert line == '{"a\\u007f": "\\u009b\\u2028\\ud800\\n\\u001b ä"}'
    assert line.encode()


def test_the_draft_of_a_killed_run_makes_way(tmp_path: Path) -> None:
    for name in (".a.1-00.partial", ".b.1-00.partial"):
        (tmp_path / name).touch()
    write_json(tmp_path / "a", 1)
    assert names(tmp_path) == [".b.1-00.partial", "a"]


@both
def test_what_another_run_made_meanwhile_is_not_replaced(
    tmp_path: Path, file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def slow(path: Path, taken: str) -> Iterator[None]:
        with held(path, taken):
            (tmp_path / "out").write_text("1") if file else (tmp_path / "out" / "a").mkdir(parents=True)
            yield

    monkeypatch.setattr("nerbert.artifacts.held", slow)
    with raises(OutputExists, words="exists already"), publish_job(tmp_path / "out", None, file=file):
        pytest.fail("the output is there")
    assert (tmp_path / "out").read_text() == "1" if file else (tmp_path / "out" / "a").is_dir()
    assert names(tmp_path) == ["out"]
