"""A build that is killed at any moment goes on when it is run again, and makes the same bytes."""

import bz2
import hashlib
import itertools
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nerbert.artifacts import draft_of, publish_job
from nerbert.cli import main
from nerbert.corpus.build import CorpusPlan, build_corpus
from nerbert.corpus.rows import PageRows
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, OutputExists, StaleOutput
from nerbert.executors import LocalExecutor

CHILD = """
import multiprocessing, os, signal, sys, time
from contextlib import contextmanager
from pathlib import Path
import nerbert.artifacts

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with Ctrl-C ignored
place, when, limit = sys.argv[4], int(sys.argv[5]), int(sys.argv[6])
count, publish = 0, nerbert.artifacts.publish

@contextmanager
def counted(target):
    global count
    count += 1
    main = multiprocessing.parent_process()
    if count == when and place == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    with publish(target) as draft:
        yield draft
        if count == when and place == "within":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == when and place == "stop":
            raise KeyboardInterrupt
    if count == when and place == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    if count == when and place == "main" and main:
        os.kill(main.pid, signal.SIGKILL)
    if count == when and place == "ctrl-c" and main:
        os.killpg(main.pid, signal.SIGINT)
        time.sleep(600)

nerbert.artifacts.publish = counted
rename = os.replace

def stopped(one, other):
    if place == "moving" and Path(other).name == "out":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(one, other)
    if place == "moved" and Path(other).name == "out":
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = stopped
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

from nerbert.corpus.build import CorpusPlan, build_corpus
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import NerbertError
from nerbert.executors import LocalExecutor

if __name__ == "__main__":
    plan = CorpusPlan((sys.argv[1],), (Path(sys.argv[2]),), Path(sys.argv[3]))
    try:
        with LocalExecutor(int(sys.argv[7])) as executor:
            build_corpus(plan, CorpusSettings(min_mentions=2, split_bytes=160_000), executor=executor)
    except NerbertError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    print(count)
"""
SETTINGS = CorpusSettings(min_mentions=2, split_bytes=160_000)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def dump(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample wiki with one page twice, so that a step rewrites what pass 1 wrote."""
    xml = (sample / "wiki.xml").read_text()
    first = xml[xml.index("<page>") : xml.index("</page>") + 8]
    path = tmp_path_factory.mktemp("kills") / "dump.xml"
    path.write_text(xml.replace("</mediawiki>", f"{first}</mediawiki>"))
    return path


@pytest.fixture(scope="module")
def whole(dump: Path, sample: Path) -> Path:
    """The corpus of an uninterrupted build."""
    output = dump.parent / "whole"
    build_corpus(CorpusPlan((dump,), (sample / "knowledge",), output), SETTINGS)
    return output


def start(
    dump: Path, sample: Path, output: Path, place: str = "none", when: int = 0, limit: int = 0, workers: int = 1
) -> "subprocess.Popen[str]":
    script = output.parent / "child.py"
    script.write_text(CHILD)
    words = (dump, sample / "knowledge", output, place, when, limit, workers)
    return subprocess.Popen(
        [sys.executable, script, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def marks(output: Path) -> dict[str, int]:
    """Finished parts of a half-made corpus, with the inode of each mark."""
    folder = draft_of(output).work
    return {path.stem: (folder / "pages" / f"{path.stem}.parquet").stat().st_ino for path in folder.glob("done/*.json")}


def check_resumed(dump: Path, sample: Path, output: Path, whole: Path, workers: int = 1) -> None:
    """Build again: the same bytes, and finished parts are the very files that were there."""
    before = marks(output)
    with LocalExecutor(workers) as executor:
        build_corpus(CorpusPlan((dump,), (sample / "knowledge",), output), SETTINGS, executor=executor)
    assert digests(output) == digests(whole)
    inodes = {path.stem: path.stat().st_ino for path in (output / "pages").glob("*.parquet")}
    kept = [name for name, inode in before.items() if inodes[name] == inode]
    assert len(kept) >= len(before) - 3, "a finished part was made again (but for the three that a later step changes)"
    assert [path.name for path in output.parent.glob(".*")] == []


POINTS = [
    ("before", 1), ("after", 1), ("within", 3), ("before", 5), ("after", 7), ("within", 10), ("after", 13),
    ("within", 16), ("before", 17), ("within", 20), ("after", 24), ("before", 28), ("within", 32), ("after", 36),
    ("before", 40), ("within", 44), ("after", 47), ("before", 49), ("within", 50),
]  # fmt: skip
"""1 is the plan, then come three for each of five parts, then the steps after pass 1."""
QUICK = [("after", 1), ("within", 3), ("after", 7), ("before", 17), ("within", 32), ("before", 49), ("within", 50)]


@pytest.mark.parametrize(
    ("place", "when"), [each if each in QUICK else pytest.param(*each, marks=pytest.mark.nightly) for each in POINTS]
)
def test_killed_at_a_publish_it_goes_on(
    dump: Path, sample: Path, whole: Path, tmp_path: Path, place: str, when: int
) -> None:
    with start(dump, sample, tmp_path / "out", place, when) as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    (tmp_path / "child.py").unlink()
    finished = len(marks(tmp_path / "out"))
    assert finished == min(5, max(0, when - (1 if place == "after" else 2)) // 3)
    check_resumed(dump, sample, tmp_path / "out", whole)


def test_all_publishes_are_covered(dump: Path, sample: Path, tmp_path: Path) -> None:
    with start(dump, sample, tmp_path / "out") as child:
        count = int(child.communicate()[0])
    assert max(when for _, when in POINTS) >= count - 2


def test_killed_twice_and_with_workers(dump: Path, sample: Path, whole: Path, tmp_path: Path) -> None:
    for place, when in (("within", 6), ("before", 9)):
        with start(dump, sample, tmp_path / "out", place, when) as child:
            child.communicate()
        assert child.returncode == -signal.SIGKILL
    (tmp_path / "child.py").unlink()
    check_resumed(dump, sample, tmp_path / "out", whole, workers=2)


def test_a_killed_main_process_leaves_what_its_workers_finished(
    dump: Path, sample: Path, whole: Path, tmp_path: Path
) -> None:
    """A worker that has published three files, the last of them a mark, kills the main process."""
    with start(dump, sample, tmp_path / "out", "main", 3, workers=2) as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    (tmp_path / "child.py").unlink()
    assert marks(tmp_path / "out")
    check_resumed(dump, sample, tmp_path / "out", whole, workers=2)


def test_ctrl_c_on_a_terminal_stops_main_process_and_workers_at_once(
    dump: Path, sample: Path, whole: Path, tmp_path: Path
) -> None:
    """A terminal sends it to all of them; a worker in the middle of its part does not hold the end back."""
    with start(dump, sample, tmp_path / "out", "ctrl-c", 3, workers=2) as child:
        _, told = child.communicate(timeout=60)
    assert (child.returncode, told) == (130, "")
    (tmp_path / "child.py").unlink()
    assert marks(tmp_path / "out")
    check_resumed(dump, sample, tmp_path / "out", whole, workers=2)


@pytest.mark.parametrize(("when", "told"), [(9, " stay: rerun the command to resume, or delete both\n"),
                                            (1, "nerbert: stopped\n")])  # fmt: skip
def test_ctrl_c_on_the_command_line_says_how_to_go_on(
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    when: int,
    told: str,
) -> None:
    count = itertools.count(1)

    def stopped(self: PageRows, *more: object) -> None:
        if next(count) == when:
            raise KeyboardInterrupt
        add(self, *more)  # type: ignore[arg-type]

    add = PageRows.add
    monkeypatch.setattr(PageRows, "add", stopped)
    words = ["corpus", "build", str(sample / "wiki.xml"), "--knowledge", str(sample / "knowledge")]
    with pytest.raises(SystemExit) as caught:
        main([*words, "-o", str(tmp_path / "out"), "--set", "split_bytes=2000"])
    assert (caught.value.code, capsys.readouterr().err[-len(told) :]) == (130, told)


def test_ctrl_c_keeps_what_is_finished(dump: Path, sample: Path, whole: Path, tmp_path: Path) -> None:
    with start(dump, sample, tmp_path / "out", "stop", 9) as child:
        child.communicate()
    assert child.returncode == 130
    (tmp_path / "child.py").unlink()
    assert len(marks(tmp_path / "out")) == 2
    check_resumed(dump, sample, tmp_path / "out", whole)


def test_a_full_disk_keeps_what_is_finished(dump: Path, sample: Path, whole: Path, tmp_path: Path) -> None:
    sizes = sorted(path.stat().st_size for path in (whole / "pages").iterdir())
    with start(dump, sample, tmp_path / "out", limit=sizes[-1] - 100) as child:
        told = child.communicate()[1]
    assert "part-0000" in told or "out: can't be written" in told
    assert "can't be written: File too large; raise the limit (ulimit -f) or choose another place" in told
    (tmp_path / "child.py").unlink()
    assert marks(tmp_path / "out")
    check_resumed(dump, sample, tmp_path / "out", whole)


@pytest.fixture
def half(dump: Path, sample: Path, tmp_path: Path) -> Path:
    """A build that was killed after two parts."""
    with start(dump, sample, tmp_path / "out", "after", 7) as child:
        child.communicate()
    (tmp_path / "child.py").unlink()
    return tmp_path / "out"


def test_other_settings_are_told(dump: Path, sample: Path, half: Path) -> None:
    plan = CorpusPlan((dump,), (sample / "knowledge",), half)
    with pytest.raises(StaleOutput, match=r"out: half made .*\(settings\.lists: False then, True now\); run as"):
        build_corpus(plan, CorpusSettings(lists=True, split_bytes=160_000))
    other = CorpusPlan((sample / "wiki.xml",), (sample / "knowledge",), half)
    with pytest.raises(StaleOutput, match=r"\(inputs\[0\]\.name: 'dump\.xml' then, 'wiki\.xml' now\)"):
        build_corpus(other, SETTINGS)
    assert len(marks(half)) == 2


def test_settings_of_later_steps_may_change(dump: Path, sample: Path, half: Path) -> None:
    before = marks(half)
    plan = CorpusPlan((dump,), (sample / "knowledge",), half)
    build_corpus(plan, CorpusSettings(min_mentions=3, split_bytes=160_000, seed=2))
    inodes = {path.stem: path.stat().st_ino for path in (half / "pages").glob("*.parquet")}
    changed = [name for name, inode in before.items() if inodes[name] != inode]
    assert len(changed) <= 1 < len(before), "only the part with the disambiguation page is made anew"


def test_overwrite_begins_anew_or_goes_on(dump: Path, sample: Path, half: Path, whole: Path) -> None:
    plan = CorpusPlan((dump,), (sample / "knowledge",), half, overwrite=True)
    build_corpus(plan, CorpusSettings(lists=True, split_bytes=160_000))
    assert digests(half) != digests(whole)
    build_corpus(plan, SETTINGS)
    assert digests(half) == digests(whole)


def test_input_that_changed_is_told(sample: Path, tmp_path: Path) -> None:
    xml = (sample / "wiki.xml").read_bytes()
    dump = tmp_path / "dump.xml.bz2"
    dump.write_bytes(bz2.compress(xml[:-20]))
    plan = CorpusPlan((dump,), (sample / "knowledge",), tmp_path / "out")
    with pytest.raises(InputError, match=r"dump\.xml\.bz2:[0-9]+: not"):
        build_corpus(plan, SETTINGS)
    assert len(marks(tmp_path / "out")) == 4
    dump.write_bytes(bz2.compress(xml))
    with pytest.raises(StaleOutput, match=r"out: half made already, but from something else \(inputs\[0\]\.size: "):
        build_corpus(plan, SETTINGS)
    build_corpus(replace(plan, overwrite=True), SETTINGS)


@pytest.mark.parametrize("place", ["moving", "moved"])
def test_killed_at_the_very_end_it_is_whole_or_resumes(
    dump: Path, sample: Path, whole: Path, tmp_path: Path, place: str
) -> None:
    """Finished parts outlive a kill until the corpus has its name."""
    with start(dump, sample, tmp_path / "out", place) as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    (tmp_path / "child.py").unlink()
    assert (tmp_path / "out").exists() == (place == "moved")
    assert len(marks(tmp_path / "out")) == 5
    build_corpus(CorpusPlan((dump,), (sample / "knowledge",), tmp_path / "out", overwrite=True), SETTINGS)
    assert digests(tmp_path / "out") == digests(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_part_file_that_was_torn_is_made_again(dump: Path, sample: Path, half: Path, whole: Path) -> None:
    path = draft_of(half).work / "pages" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:100])
    build_corpus(CorpusPlan((dump,), (sample / "knowledge",), half), SETTINGS)
    assert digests(half) == digests(whole)


def test_two_builds_to_one_place_are_refused(dump: Path, sample: Path, tmp_path: Path) -> None:
    plan = CorpusPlan((dump,), (sample / "knowledge",), tmp_path / "out")
    with publish_job(plan.output, {}), pytest.raises(OutputExists, match="out: another run is making it"):
        build_corpus(plan, SETTINGS)
