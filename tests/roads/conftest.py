"""Commands run in this process, as a user would type them."""

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., int]


@pytest.fixture(scope="session")
def nerbert() -> Run:
    """Run one command; its exit code."""

    def run(*arguments: str | Path) -> int:
        from nerbert.cli import main

        try:
            main([*map(str, arguments)])
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run
