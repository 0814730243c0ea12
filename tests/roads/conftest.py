"""Commands run in this process, as a user would type them."""

from collections.abc import Callable

import pytest

from tests.commands import exit_code

Run = Callable[..., int]


@pytest.fixture(scope="session")
def nerbert() -> Run:
    """Run one command; its exit code."""
    return exit_code
