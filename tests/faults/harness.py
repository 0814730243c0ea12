"""Strike a command at its file operations, run it again, and compare with a run that nothing struck.

Each run has a folder of its own, in which the command works with relative paths, with its cache and its temporary
files; so all that it leaves can be seen. All names in there are equal, and so are all bytes, but for `_CLOCK`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL

from tests.commands import python

STRUCK = Path(__file__).with_name("struck.py")
ROOT = STRUCK.parents[2]
KILLS = ("kill", "torn")
IN_A_ROW = 8
_LOOKS = 6000
_CLOCK = re.compile(rb'"(seconds|wall|cpu|finished)": [^,}\n]*')
"""What legitimately differs between two runs in files of text: how long something took, and when it ended."""
_RANDOM = re.compile(r"\d+-[0-9a-f]{8}(?=\.partial)|(?<=nerbert-)[a-z0-9_]{8}$|(?<=tasks-)[a-z0-9_]{8}|(?<=^tmp/tmp).*")
"""What differs between the names of one temporary file in two processes."""
_TEXT = (".json", ".jsonl")


@dataclass(frozen=True)
class Command:
    """A command of nerbert, with paths relative to its folder (`../inputs/…` is what all runs read)."""

    name: str
    arguments: tuple[str, ...]
    patch: str = ""
    """Settings of modules, so that a small input has several parts (struck.py)."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    shown: str
    told: str
    operations: int
    pid: int


@dataclass
class Tally:
    """What came of striking a command."""

    name: str
    operations: int = 0
    kills: int = 0
    equal: int = 0
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Note what fails as a fault."""
        try:
            yield
        except AssertionError as error:
            self.faults.append(f"{what}: {error}")

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        return f"| {self.name} | {self.operations} | {self.kills} | {self.equal} | {len(self.faults)} |"


class Desk:
    """A folder with inputs, in which a command runs in folders that are numbered."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder, self.command, self._count = folder, command, 0
        self.whole = self.new()
        done = self.run(self.whole)
        assert done.code == 0, done.told
        self.operations, self.shown = done.operations, done.shown
        self.expected = outcome(self.whole)
        check_clean(self.whole)

    def new(self) -> Path:
        """Return the folder of another run, with its inputs beside it."""
        self._count += 1
        made = self.folder / f"{self._count:04}"
        for name in ("cache", "tmp"):
            (made / name).mkdir(parents=True)
        return made

    def start(self, run: Path, fault: str = "none", when: int = 0, **more: str) -> "subprocess.Popen[str]":
        """Start the command in a folder."""
        ours = {"XDG_CACHE_HOME": str(run / "cache"), "TMPDIR": str(run / "tmp"), "PATCH": self.command.patch,
                "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # fmt: skip
        for name in (".pid", ".count"):
            run.with_suffix(name).unlink(missing_ok=True)
        return subprocess.Popen(
            [python(), "-W", "error", STRUCK, fault, str(when), *self.command.arguments], cwd=run, text=True,
            env=os.environ | ours | self.command.environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, run: Path, fault: str = "none", when: int = 0, **more: str) -> Done:
        """Run the command in a folder; then nothing of it is alive."""
        with self.start(run, fault, when, **more) as process:
            return self.end(run, process)

    def end(self, run: Path, process: "subprocess.Popen[str]") -> Done:
        """Wait for a command's end."""
        shown, told = process.communicate()
        pid = int(run.with_suffix(".pid").read_text())
        wait_for(lambda: not family(pid), f"{run}: processes live on: {family(pid)}")
        count = run.with_suffix(".count")
        return Done(process.returncode, shown, told, int(count.read_text()) if count.exists() else 0, pid)

    def check(self, run: Path) -> None:
        """Run the command without a fault: the result is the one of a run that nothing struck."""
        done = self.run(run)
        assert done.code == 0, done.told
        assert differing(outcome(run), self.expected) == []
        check_clean(run)


def places(count: int, kills: int, seed: int) -> list[int]:
    """Return `kills` numbers from 1 to `count`, one from each of so many equal parts of them."""
    random = Random(seed)
    bounds = [number * count // kills for number in range(kills + 1)]
    return [random.randrange(low, max(low + 1, high)) + 1 for low, high in zip(bounds[:-1], bounds[1:], strict=True)]


def kill_once(desk: Desk, kills: int, seed: int) -> Tally:
    """Kill the command at sampled operations, each in a folder of its own, and run it again."""
    tally, random = Tally(f"{desk.command.name}, once", desk.operations), Random(seed)
    for when in places(desk.operations, kills, seed):
        fault, run = random.choice(KILLS), desk.new()
        with tally.noting(f"{run.name}: {fault} at {when}"):
            _kill(tally, desk, run, fault, when)
            desk.check(run)
            tally.equal += 1
            shutil.rmtree(run)
    return tally


def kill_in_a_row(desk: Desk, kills: int, seed: int) -> Tally:
    """Kill the command again and again in one folder until it ends, and begin anew, until so many kills were made."""
    tally, random = Tally(f"{desk.command.name}, in a row", desk.operations), Random(seed)
    while tally.kills < kills and not tally.faults:
        run, row = desk.new(), list[str]()
        for _ in range(IN_A_ROW):
            fault, when = random.choice(KILLS), random.randrange(1, max(3, desk.operations // 3))
            row.append(f"{fault} at {when}")
            with tally.noting(f"{run.name}: {', '.join(row)}"):
                killed = _kill(tally, desk, run, fault, when)
                assert grown(leftovers(run)) == []
            if not killed or tally.faults:
                break
        with tally.noting(f"{run.name}: {', '.join(row)}, then run to its end"):
            desk.check(run)
            tally.equal += 1
            shutil.rmtree(run)
    return tally


def _kill(tally: Tally, desk: Desk, run: Path, fault: str, when: int) -> bool:
    """Kill a command; return whether it was, since fewer operations may be left."""
    done = desk.run(run, fault, when)
    assert done.code in (0, -SIGKILL), done.told
    tally.kills += done.code == -SIGKILL
    return done.code == -SIGKILL


def outcome(run: Path) -> dict[str, bytes]:
    """Return all files that a command left, without what is the clock's."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and path.relative_to(run).parts[0] != "tmp")
    return {
        str(path.relative_to(run)): _CLOCK.sub(rb'"\1": 0', content) if path.suffix in _TEXT else content
        for path in files for content in [path.read_bytes()]
    }  # fmt: skip


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Return the names of files that only one has, or that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def leftovers(run: Path) -> list[str]:
    """Return what is half made, or temporary, in a run's folder."""
    return sorted(str(path.relative_to(run)) for path in [*run.rglob(".*"), *(run / "tmp").iterdir()])


def grown(left: Sequence[str]) -> list[str]:
    """Return the kinds of leftovers of which there are several, and so more after each kill."""
    kinds = [_RANDOM.sub("*", each) for each in left]
    return sorted({each for each in kinds if kinds.count(each) > 1})


def check_clean(run: Path) -> None:
    """Raise AssertionError if something unfinished is left."""
    assert leftovers(run) == []


def family(session: int) -> list[int]:
    """Return the living processes of a session."""
    return [pid for pid, state, its in _processes() if its == session and state != "Z"]


def _processes() -> Iterator[tuple[int, str, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(path.parent.name), fields[0], int(fields[3])


def wait_for(something: Callable[[], object], message: str) -> None:
    """Look again and again whether something is true."""
    for _ in range(_LOOKS):
        if something():
            return
        time.sleep(0.02)
    raise AssertionError(message)
