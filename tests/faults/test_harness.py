"""Long commands, killed at sampled file operations: a few kills of two here, many of each by hand.

`pytest -n0 -m nightly tests/faults/test_harness.py --kills 30 --kill-seed 2` prints a table: command, operations,
the kills, how often the result was compared and equal, and the faults.
"""

from collections.abc import Callable

import pytest

from tests.faults.harness import Command, Desk, kill_in_a_row, kill_once, leftovers, places
from tests.faults.jobs import COMMANDS
from tests.faults.strikes import strike


def test_a_sample_of_kills(desk_of: Callable[[Command], Desk]) -> None:
    desk = desk_of(COMMANDS["tag, file"])
    tallies = [kill_once(desk, 2, seed=1), kill_in_a_row(desk, 4, seed=1), strike(desk, "full", 1, seed=1),
               strike(desk, "term", 1, seed=1)]  # fmt: skip
    assert [each.faults for each in tallies] == [[]] * 4
    assert (tallies[0].kills, tallies[1].kills) == (2, 4)


def test_what_a_killed_command_left_beside_its_output_is_removed(desk_of: Callable[[Command], Desk]) -> None:
    desk = desk_of(COMMANDS["knowledge gazetteer"])
    run = desk.new()
    for _ in range(2):
        desk.run(run, "kill", desk.operations)
        assert sum(name.endswith(".partial") for name in leftovers(run)) == 1
    desk.check(run)


def test_the_harness_notes_a_result_that_differs(desk_of: Callable[[Command], Desk]) -> None:
    desk = desk_of(COMMANDS["knowledge gazetteer"])
    desk.expected["out.tsv"] += b"more"
    (fault,) = kill_once(desk, 1, seed=1).faults
    assert "out.tsv" in fault


@pytest.mark.parametrize(("count", "kills"), [(100, 7), (3, 3), (2, 5)])
def test_places_are_spread_over_all_operations(count: int, kills: int) -> None:
    found = places(count, kills, seed=1)
    assert (len(found), found) == (kills, sorted(found))
    assert (min(found) - 1) * kills < count >= max(found) > count - count / kills


@pytest.mark.nightly
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_file_operation(
    name: str, desk_of: Callable[[Command], Desk], kill_often: Callable[[Desk], None]
) -> None:
    kill_often(desk_of(COMMANDS[name]))
