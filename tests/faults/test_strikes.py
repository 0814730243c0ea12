"""The long commands at full disks, signals, read errors, flipped bits, and two at once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.harness import Command, Desk
from tests.faults.jobs import COMMANDS
from tests.faults.strikes import STRIKES, Strike, fill_over_older, flip_made

OVERWRITING = [name for name in COMMANDS if name != "benchmark"]


@pytest.mark.nightly
@pytest.mark.parametrize("fault", STRIKES)
@pytest.mark.parametrize("name", COMMANDS)
def test_struck_at_any_file_operation(
    name: str, fault: str, desk_of: Callable[[Command], Desk], strike_often: Callable[[Desk, Strike], None]
) -> None:
    strike_often(desk_of(COMMANDS[name]), STRIKES[fault])


@pytest.mark.nightly
@pytest.mark.parametrize("name", OVERWRITING)
def test_an_older_output_outlives_a_full_disk(
    name: str, desk_of: Callable[[Command], Desk], strike_often: Callable[[Desk, Strike], None]
) -> None:
    command = COMMANDS[name]
    strike_often(desk_of(replace(command, arguments=(*command.arguments, "--overwrite"))), fill_over_older)


@pytest.mark.nightly
def test_no_bit_of_a_benchmark_makes_a_wrong_figure(
    desk_of: Callable[[Command], Desk], strike_often: Callable[[Desk, Strike], None]
) -> None:
    strike_often(desk_of(COMMANDS["benchmark"]), flip_made)
