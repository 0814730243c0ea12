import os
import signal
from itertools import count, islice

import pytest

from nerbert.errors import NerbertError
from nerbert.work import run_ordered


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise NerbertError(f"refused {number}")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(run_ordered(square, range(20), workers)) == [n * n for n in range(20)]


def test_lazy_on_an_endless_input() -> None:
    assert list(islice(run_ordered(square, count(), 2), 3)) == [0, 1, 4]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tasks_error_comes_through(workers: int) -> None:
    with pytest.raises(NerbertError, match="refused 0"):
        list(run_ordered(refuse, range(3), workers))


def test_a_dead_worker_is_an_error() -> None:
    with pytest.raises(NerbertError, match="worker process died"):
        list(run_ordered(die, range(3), 2))
