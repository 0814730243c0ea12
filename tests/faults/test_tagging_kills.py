"""A tagging job that is killed at any moment goes on when it is run again, and makes the same bytes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nerbert.tagger.jobs import files
from tests.commands import exit_code, python

pytestmark = pytest.mark.usefixtures("warm_python")

ROOT = Path(__file__).parents[2]
CHILD = """
import os, signal, sys

when, count, rename = int(sys.argv[1]), 0, os.replace

def counted(one, other, **named):
    global count
    count += 1
    if count == when:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(one, other, **named)

os.replace = counted
import nerbert.tagger.jobs.files as files
from nerbert.cli import main
from nerbert.tagger.tagger import Tagger
from tests.tagger.jobs.fakes import Capitals

files._PART = 400
fake = Capitals()
Tagger.load = lambda source, **_: fake
try:
    main(["tag", *sys.argv[2:]])
finally:
    print(count, len(fake.seen))
"""
LINES = [f"Ada {number} met Bob in Oslo and Eve in Årdal." for number in range(100)]
OUTPUTS = ["out.jsonl", "out.parquet", "out.html"]


def run(folder: Path, when: int, *arguments: str) -> tuple[int, int]:
    """Tag, and be killed at a rename (0: at none); how many renames there were, and how many rows were tagged."""
    command = [python(), "-c", CHILD, str(when), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    renames, rows = done.stdout.split()[-2:] if not done.returncode else (0, 0)
    return int(renames), int(rows)


def content(path: Path) -> dict[str, bytes]:
    """A file's bytes, or those of all files below a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tagger, a file, and the same in several files."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "tagger").mkdir()
    (folder / "tagger" / "config.json").write_text("{}")
    (folder / "x.txt").write_text("\n".join(LINES))
    for number in range(4):
        path = folder / "in" / f"sub-{number % 2}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(LINES[number * 25 : number * 25 + 25]))
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize(("source", "output"), [*(("x.txt", output) for output in OUTPUTS), ("in", "out")])
def test_killed_every_so_many_renames_until_it_is_done(desk: Path, source: str, output: str) -> None:
    whole, broken = f"whole-{output}", f"broken-{output}"
    renames, rows = run(desk, 0, "tagger", source, "-o", whole)
    assert rows == len(LINES)
    kills = tagged = 0
    while True:
        count, tagged = run(desk, renames // 3, "tagger", source, "-o", broken)
        if count:
            break
        assert not (desk / broken).exists()
        kills += 1
        assert kills < 9
    assert kills >= 2
    assert tagged <= len(LINES) // 2, "what was done is not done again"
    assert content(desk / broken) == content(desk / whole)
    assert not list(desk.glob(".*"))


@pytest.mark.parametrize("output", ["out.jsonl", "out"])
def test_killed_at_each_of_the_last_renames(desk: Path, output: str) -> None:
    """While the output gets its name: nothing that was done is lost, and it is never there by half."""
    source = "x.txt" if "." in output else "in"
    renames, _ = run(desk, 0, "tagger", source, "-o", f"all-{output}")
    for before_the_end in range(4):
        name = f"late-{before_the_end}-{output}"
        assert run(desk, renames - before_the_end, "tagger", source, "-o", name)[0] == 0
        assert not (desk / name).exists()
        _, tagged = run(desk, 0, "tagger", source, "-o", name)
        assert tagged <= 10 * before_the_end, "one rename comes after the last part's"
        assert content(desk / name) == content(desk / f"all-{output}")
    assert not list(desk.glob(".*"))


def test_killed_with_an_older_file_there(desk: Path) -> None:
    """The old file stays whole until the new one is; then nothing is left of the work."""
    target = desk / "old.jsonl"
    target.write_text("old")
    renames, _ = run(desk, 0, "tagger", "x.txt", "-o", "new.jsonl")
    arguments = ("tagger", "x.txt", "-o", "old.jsonl", "--overwrite")
    assert run(desk, renames, *arguments) == (0, 0)
    assert target.read_text() == "old"
    assert run(desk, 0, *arguments)[1] == 0, "all rows were tagged before the last kill"
    assert target.read_bytes() == (desk / "new.jsonl").read_bytes()
    assert not list(desk.glob(".*"))


def test_ctrl_c_says_how_to_go_on(desk: Path) -> None:
    """A signal in the middle, when the first parts are there."""
    code = CHILD.replace("os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGINT)")
    command = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code,
               "9", "tagger", "x.txt", "-o", "ctrl-c.jsonl"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    places = ".ctrl-c.jsonl.partial and .ctrl-c.jsonl.work"
    told = f"nerbert: stopped; {places} stay: rerun the command to resume, or delete both\n"
    assert (done.returncode, done.stderr) == (130, told)
    run(desk, 0, "tagger", "x.txt", "-o", "ctrl-c.jsonl")
    texts = [json.loads(line)["text"] for line in (desk / "ctrl-c.jsonl").read_text().splitlines()]
    assert texts == LINES


def test_a_worker_that_dies_loses_nothing(
    tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "_PART", 400)
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("\n".join([*LINES[:60], f"deadly {tmp_path / 'flag'}", *LINES[60:]]))
    command = ["tag", tiny_tagger, "x.txt", "--head", "tests.faults.deadly_head:DeadlyKind"]
    assert exit_code(*command, "-o", "y.jsonl", "--workers", 2) == 1
    told = "a worker process died (out of memory?): try fewer --workers; .y.jsonl.partial and .y.jsonl.work stay: rerun"
    assert told in capsys.readouterr().err
    assert len(list(Path(".y.jsonl.work", "parts", "000000").iterdir())) > 3
    assert exit_code(*command, "-o", "y.jsonl", "--workers", 2) == 0
    assert exit_code(*command, "-o", "whole.jsonl") == 0
    assert Path("y.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
