"""Benchmarks: systems × data × settings × seeds → cells, cached one by one → tables; checks and downloads of data."""

from pathlib import Path

from nerbert.process import check_package

check_package("nerbert-bench")


def settings_folder() -> Path:
    """Return the folder that holds `suites`, for commands that name one from any folder."""
    return Path(__file__).parent
