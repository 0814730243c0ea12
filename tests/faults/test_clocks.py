"""A clock that jumps, between two runs and within one: the result is the same, and no lock is taken for an old one."""

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from signal import SIGCONT

import pytest

from tests.faults.harness import Desk, Tally, places, strike_at
from tests.faults.jobs import COMMANDS
from tests.faults.strikes import WAITING
from tests.warm import warm_commands

LIBRARIES = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
JUMPS = ("-400d", "+400d")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let commands run in processes whose clock is that of this file, an offset."""
    if not LIBRARIES:
        pytest.skip("no libfaketime: apt-get install faketime")
    offset = tmp_path_factory.mktemp("clock") / "offset"
    offset.write_text("+0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
        patch.setenv("FAKETIME_NO_CACHE", "1")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        patch.setenv("LD_PRELOAD", str(LIBRARIES[0]))
        with warm_commands(tmp_path_factory.mktemp("warm")) as folder:
            patch.delenv("LD_PRELOAD")
            patch.setenv("WARM_PYTHON", str(folder / "python"))
            yield offset


@pytest.mark.nightly
@pytest.mark.parametrize("name", COMMANDS)
def test_a_clock_that_jumps_changes_nothing(
    name: str, inputs: Path, clock: Path, tmp_path: Path, pytestconfig: pytest.Config,
    show_row: Callable[[str], None],
) -> None:  # fmt: skip
    (tmp_path / "inputs").symlink_to(inputs)
    tally = jump(Desk(tmp_path, COMMANDS[name]), clock, pytestconfig.getoption("kills"))
    show_row(tally.row())
    assert tally.faults == []


def jump(desk: Desk, clock: Path, count: int) -> Tally:
    """Kill a run, let the clock jump, and run it again, in which the clock jumps back."""
    jumps = cycle(JUMPS)

    def act(run: Path, when: int) -> None:
        clock.write_text("+0")
        desk.run(run, "kill", when)
        clock.write_text(next(jumps))
        desk.run(run, "jump", max(1, when // 2), JUMP="+0")
        desk.check(run)

    return strike_at(desk, "clock", places(desk.operations, count, 1), act, desk.operations)


@pytest.mark.nightly
def test_a_lock_is_held_whatever_the_clock_says(inputs: Path, clock: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs").symlink_to(inputs)
    desk = Desk(tmp_path, COMMANDS["corpus build"])
    for there in JUMPS:
        run = desk.new()
        clock.write_text("+0")
        first = desk.start(run, "stop", desk.operations // 2)
        assert first.wait_until_stopped()
        clock.write_text(there)
        second = desk.start(run)
        second.wait_until(lambda said: WAITING in said)
        first.send(SIGCONT)
        assert (first.end().code, second.end().code) == (0, 1)
        assert "another run is making it" in second.told()
        desk.check(run)
