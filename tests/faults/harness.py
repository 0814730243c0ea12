"""Strike a command at its file operations, run it again, and compare with a run that nothing struck.

Each run has a folder of its own, in which the command works with relative paths, with its cache and its temporary
files; so all that it leaves can be seen. All names in there are equal, and so are all bytes, but for `_CLOCK`.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from signal import SIGKILL, Signals

from nerbert.sources.download import FETCHED
from tests.commands import python

STRUCK = Path(__file__).with_name("struck.py")
ROOT = STRUCK.parents[2]
REFUSED = ": exists already; choose another place or pass --overwrite"
KILLS = ("kill", "torn")
IN_A_ROW = 8
_LOOKS = 30_000
_CLOCK = re.compile(rb'"(seconds|wall_seconds|cpu_seconds|wall|cpu|finished|checksum)": ?[^,}\n]*')
"""What legitimately differs between two runs in files of text: how long something took, when it ended, sums of that."""
_RANDOM = re.compile(r"\d+-[0-9a-f]{8}(?=\.partial)|(?<=^tmp/)(?:nerbert-\d+-[0-9a-f]{8}-|tmp).*")
"""What differs between the names of one temporary file in two processes."""
_SPENT = re.compile(rb'"(input_tokens|output_tokens|cost|kept_before|tokens_are_estimated)": [^,}\n]*')
"""What a report on asked texts says of a request whose answer was lost: it was paid for, and is sent again."""
_TEXT = (".json", ".jsonl")
_TABLES = "suite."
"""The tables of a benchmark, which show its cells, and seconds among them."""


@dataclass(frozen=True)
class Command:
    """A command of nerbert, with paths relative to its folder (`../inputs/…` is what all runs read)."""

    name: str
    arguments: tuple[str, ...]
    patch: str = ""
    """Settings of modules, so that a small input has several parts (struck.py)."""
    repeats: int = 6
    """Renamings that a run makes at most when it goes on at the very end."""


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    told: str
    operations: int
    renamings: int


@dataclass(frozen=True)
class Running:
    """A command that was started; what it says is in files beside its folder."""

    process: "subprocess.Popen[bytes]"
    notes: Path

    def told(self) -> str:
        """Return what it has said on standard error."""
        return self.notes.with_suffix(".err").read_text()

    def pid(self) -> int:
        """Return its process, 0 if it is none yet."""
        path = self.notes.with_suffix(".pid")
        return int(path.read_text() or 0) if path.exists() else 0

    def send(self, number: Signals) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(), number)

    def wait_until_stopped(self) -> bool:
        """Wait until it has stopped itself; False if it ended."""
        wait_for(lambda: self.process.poll() is not None or state_of(self.pid()) == "T", "it neither stops nor ends")
        return self.process.poll() is None

    def wait_until(self, seen: Callable[[str], bool]) -> None:
        """Wait until it has said something, or has ended."""
        wait_for(lambda: self.process.poll() is not None or seen(self.told()), "it neither says that nor ends")

    def end(self) -> Done:
        """Wait for its end; then nothing of it is alive."""
        self.process.wait()
        count = self.notes.with_suffix(".count")
        wait_for(lambda: not family(self.pid()), f"{self.notes}: processes live on")
        operations, renamings = map(int, count.read_text().split()) if count.exists() else (0, 0)
        return Done(self.process.returncode, self.told(), operations, renamings)


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
        """Return it as a row of a Markdown table, and its faults below."""
        row = f"| {self.name} | {self.operations} | {self.kills} | {self.equal} | {len(self.faults)} |"
        return "\n".join([row, *(f"  {each:.500}{each[500:][-1500:]}" for each in self.faults)])


class Desk:
    """A folder with inputs, in which a command runs in folders that are numbered."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder, self.command, self._count, self._started = folder, command, 0, 0
        self.whole = self.new()
        done = self.run(self.whole)
        assert done.code == 0, done.told
        self.operations, self.renamings = done.operations, done.renamings
        self.expected = outcome(self.whole)
        check_clean(self.whole)

    def new(self) -> Path:
        """Return the folder of another run."""
        self._count += 1
        run = self.folder / f"{self._count:04}"
        for name in ("cache", "tmp"):
            (run / name).mkdir(parents=True, exist_ok=True)
        return run

    def start(self, run: Path, fault: str = "none", when: int = 0) -> "Running":
        """Start the command in a folder."""
        self._started += 1
        notes = self.folder / f"{run.name}-{self._started}"
        ours = {
            "XDG_CACHE_HOME": str(run / "cache"),
            "TMPDIR": str(run / "tmp"),
            "PATCH": self.command.patch,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "no_proxy": "*",
            "NOTES": str(notes),
        }
        with notes.with_suffix(".out").open("wb") as out, notes.with_suffix(".err").open("wb") as err:
            process = subprocess.Popen(
                [python(), "-W", "error", STRUCK, fault, str(when), *self.command.arguments],
                cwd=run,
                env=os.environ | ours,
                stdout=out,
                stderr=err,
            )
        return Running(process, notes)

    def run(self, run: Path, fault: str = "none", when: int = 0) -> Done:
        """Run the command in a folder; then nothing of it is alive."""
        return self.start(run, fault, when).end()

    def check(self, run: Path) -> Done:
        """Run the command without a fault: the result is the one of a run that nothing struck.

        A command that was killed after its output got its name refuses to make it again.
        """
        done = self.run(run)
        assert done.code == 0 or REFUSED in done.told, done.told
        self.check_outcome(run)
        return done

    def check_outcome(self, run: Path, *but: str) -> None:
        """Raise AssertionError unless a run's folder holds what the whole run left, `but` for some files, and nothing
        unfinished.
        """
        found = [name for name in differing(outcome(run), self.expected) if name not in but]
        assert not found, f"differs: {found}"
        check_clean(run)


def places(count: int, kills: int, seed: int) -> list[int]:
    """Return `kills` numbers from 1 to `count`, one from each of so many equal parts of them."""
    random = Random(seed)
    bounds = [number * count // kills for number in range(kills + 1)]
    return [random.randrange(low, max(low + 1, high)) + 1 for low, high in pairwise(bounds)]


def strike_at(desk: Desk, title: str, whens: Sequence[int], act: Callable[[Path, int], object], total: int) -> Tally:
    """Let `act` strike the command at operations, each in a folder of its own, and check what it makes."""
    tally = Tally(f"{desk.command.name}, {title}", total)
    for when in whens:
        run = desk.new()
        with tally.noting(f"{run.name}: {title} at {when}"):
            tally.kills += act(run, when) is not False
            tally.equal += 1
            shutil.rmtree(run)
    return tally


def kill_at_publishes(desk: Desk, most: int, seed: int) -> Tally:
    """Kill the command where files get their names, `most` times and at the last one; what is done isn't done again."""
    whole = desk.renamings

    def act(run: Path, when: int) -> bool:
        killed, left = _kill(desk, run, "publish", when), whole - when + 1
        again = desk.check(run).renamings
        assert again <= max(left, desk.command.repeats) + whole // 5, f"{again} renamings, {left} were left"
        return killed

    return strike_at(desk, "publish", sorted({*places(whole, min(most, whole), seed), whole}), act, whole)


def kill_in_a_row(desk: Desk, kills: int, seed: int) -> Tally:
    """Kill the command again and again in one folder until it ends, and begin anew, until so many kills were made."""
    tally, random = Tally(f"{desk.command.name}, in a row", desk.operations), Random(seed)
    while tally.kills < kills and not tally.faults:
        run, row = desk.new(), list[str]()
        for _ in range(min(IN_A_ROW, kills - tally.kills)):
            fault, when = random.choice(KILLS), random.randrange(1, max(3, desk.operations // 3))
            row.append(f"{fault} at {when}")
            with tally.noting(f"{run.name}: {', '.join(row)}"):
                killed = _kill(desk, run, fault, when)
                tally.kills += killed
                assert not (found := grown(leftovers(run))), f"left again and again: {found}"
            if not killed or tally.faults:
                break
        with tally.noting(f"{run.name}: {', '.join(row)}, then run to its end"):
            desk.check(run)
            tally.equal += 1
            shutil.rmtree(run)
    return tally


def _kill(desk: Desk, run: Path, fault: str, when: int) -> bool:
    """Kill a command; return whether it was, since fewer operations may be left, or its output be there already."""
    done = desk.run(run, fault, when)
    assert done.code in (0, -SIGKILL) or REFUSED in done.told, done.told
    return done.code == -SIGKILL


def outcome(run: Path) -> dict[str, bytes]:
    """Return all files that a command left, without what is the clock's; of a database its answers."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and path.relative_to(run).parts[0] != "tmp")
    return {str(path.relative_to(run)): _content(path) for path in files}


def _content(path: Path) -> bytes:
    if path.suffix == ".sqlite":
        with closing(sqlite3.connect(path)) as database:
            return repr(database.execute("SELECT text, content, cut FROM answers ORDER BY text").fetchall()).encode()
    if path.name.startswith(_TABLES):
        return b""
    content = _CLOCK.sub(rb'"\1": 0', path.read_bytes()) if path.suffix in _TEXT else path.read_bytes()
    return _SPENT.sub(rb'"\1": 0', content) if path.name.endswith(".report.json") else content


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Return the names of files that only one has, or that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def leftovers(run: Path) -> list[str]:
    """Return what is half made, or temporary, in a run's folder."""
    hidden = (path for path in run.rglob(".*") if path.name not in (FETCHED, ".lock"))
    return sorted(str(path.relative_to(run)) for path in [*hidden, *(run / "tmp").iterdir()])


def grown(left: Sequence[str]) -> list[str]:
    """Return the kinds of leftovers of which there are several, and so more after each kill."""
    kinds = [_RANDOM.sub("*", each) for each in left]
    return sorted({each for each in kinds if kinds.count(each) > 1})


def check_clean(run: Path) -> None:
    """Raise AssertionError if something unfinished is left; one temporary folder of a killed process may be."""
    left = leftovers(run)
    assert not (found := [each for each in left if not each.startswith("tmp/")]), f"left: {found}"
    assert not (found := grown(left)), f"left again and again: {found}"


def family(session: int) -> list[int]:
    """Return the living processes of a session."""
    return [pid for pid, state, its in _processes() if its == session and state != "Z"]


def state_of(pid: int) -> str:
    """Return the state of a process, as the system writes it; "" if there is none."""
    return next((state for each, state, _ in _processes() if each == pid), "")


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
