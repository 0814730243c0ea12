"""What a command must do at a full disk, a signal, a read error, a flipped bit, and beside another run of itself."""

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGINT
from typing import TypeAlias

from tests.faults.harness import REFUSED, Desk, Done, Tally, places, strike_at

TAKEN = ("another run is making it", "another run is fetching into it", REFUSED)
"""What a second run says."""
WAITING = "another run is making it; waiting for its end"
_FAILED_CELLS = re.compile(r"cells: .*[0-9]+ failed; written: ")
CODES = {"int": -SIGINT, "term": 143, "full": 1, "read": 1}


def strike(desk: Desk, fault: str, count: int, seed: int) -> Tally:
    """Let a fault strike at sampled operations: the command ends with its exit code and one line; then it is run again.

    A command that ends as if nothing had happened has made the same.
    """
    operations = desk.run(desk.new(), fault).operations if fault == "read" else desk.operations

    def act(run: Path, when: int) -> None:
        _check_end(desk.run(run, fault, when), CODES[fault])
        desk.check(run)

    return strike_at(desk, fault, places(operations, count, seed), act, operations)


def _check_end(done: Done, code: int) -> None:
    """Raise AssertionError unless a command ended well, or with a code and one line of its own, the last: or that of a
    benchmark whose cells failed, which the next run tries again.
    """
    if done.code == 0:
        return
    lines = done.told.splitlines()
    own = [each for each in lines if each.startswith("nerbert: ")]
    assert done.code == code, f"exit code {done.code}: {done.told}"
    assert "Traceback" not in done.told, done.told
    assert len(own) <= 1, done.told
    assert lines[-1:] == own or code != 1 or _FAILED_CELLS.match(lines[-1]), done.told


def flip(desk: Desk, count: int, seed: int) -> Tally:
    """Kill the command and flip a bit in a file that it left: it is made again, or refused in one line."""
    random = Random(seed)

    def act(run: Path, when: int) -> None:
        desk.run(run, "kill", when)
        _flip_one(desk, run, random)

    return strike_at(desk, "flipped", places(desk.operations, count, seed), act, desk.operations)


def _flip_one(desk: Desk, run: Path, random: Random) -> None:
    """Flip a bit in a file of a run and go on. A damaged file that isn't read any more may stay: in a cache, or a
    benchmark's source checkpoint.
    """
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.stat().st_size]
    if not files:
        return
    path = random.choice(files)
    name = str(path.relative_to(run))
    flip_bit(path, random)
    done = desk.run(run)
    _check_end(done, 1)
    if done.code:
        named = (path.name, path.parent.name, REFUSED)  # a whole output is refused before its files are read
        assert any(each in done.told for each in named), f"{name}: {done.told}"
    else:
        desk.check_outcome(run, *([name] if name.startswith(("cache/", "out/sources/")) else []))


def flip_bit(path: Path, random: Random) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def run_two(desk: Desk, count: int, seed: int) -> Tally:
    """Start the command a second time while the first is in the middle: one makes the output, the other says why not.

    The second one may wait for what both need, and then find the output made.
    """

    def act(run: Path, when: int) -> None:
        first = desk.start(run, "stop", when)
        first.wait_until_stopped()
        second = desk.start(run)
        second.wait_until(lambda said: WAITING in said)
        first.send(SIGCONT)
        ends = sorted((first.end(), second.end()), key=lambda done: done.code)
        assert ends[0].code == 0, ends[0].told
        _check_end(ends[1], 1)
        assert ends[1].code == 0 or any(each in ends[1].told for each in TAKEN), ends[1].told
        desk.check_outcome(run)

    return strike_at(desk, "two", places(desk.operations, count, seed), act, desk.operations)


Strike: TypeAlias = Callable[[Desk, int, int], Tally]
"""Strikes a desk so many times, with a seed."""
STRIKES: dict[str, Strike] = {
    **{name: (lambda fault: lambda desk, count, seed: strike(desk, fault, count, seed))(name) for name in CODES},
    "flip": flip,
    "two": run_two,
}
"""By name."""
