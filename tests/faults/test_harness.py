"""Each long command, killed at sampled file operations."""

from collections.abc import Callable

import pytest

from tests.faults.harness import Command, Desk, kill_in_a_row, kill_once
from tests.faults.jobs import COMMANDS


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_file_operation(
    name: str, desk_of: Callable[[Command], Desk], pytestconfig: pytest.Config, show_row: Callable[[str], None]
) -> None:
    desk = desk_of(COMMANDS[name])
    kills, seed = pytestconfig.getoption("kills"), pytestconfig.getoption("kill_seed")
    tallies = [kill_once(desk, kills // 2, seed), kill_in_a_row(desk, kills, seed)]
    for each in tallies:
        show_row(each.row())
    assert [each.faults for each in tallies] == [[], []]
