"""Commands of nerbert, run in this process, or as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def exit_code(*arguments: object) -> int:
    """Run a command and return its exit code, after Ctrl-C the one that a shell shows."""
    from nerbert.cli import main

    try:
        main([*map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return 130
    return 0


def python() -> str:
    """Return the Python of a new process; with the fixture `warm_python` one that has torch loaded already."""
    return os.environ.get("WARM_PYTHON", sys.executable)


def run_in(folder: Path, *command: str, path: Path) -> str:
    """Run a command whose `nerbert` and `python` are in `path`; return what it prints, errors among it."""
    environment = os.environ | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout
