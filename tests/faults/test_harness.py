"""Each long command, killed at sampled file operations."""

from collections.abc import Callable

import pytest

from tests.faults.harness import Command, Desk, kill_once
from tests.faults.jobs import COMMANDS


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_file_operation(name: str, desk_of: Callable[[Command], Desk], pytestconfig: pytest.Config) -> None:
    desk = desk_of(COMMANDS[name])
    tally = kill_once(desk, pytestconfig.getoption("kills"), pytestconfig.getoption("kill_seed"))
    print(tally.row())
    assert tally.faults == []
