"""The whole command stopped while workers run: it writes the tables, says how to go on, and leaves nobody behind."""

import csv
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from nerbert.evaluation.benchmark.cells import CellKey
from tests.evaluation.benchmark.outcome import is_gone
from tests.serve.heads import until

pytestmark = pytest.mark.nightly
CELLS = 8
COMMAND = """
import signal, sys
from nerbert.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with Ctrl-C ignored
main(sys.argv[1:])
"""


def group_of(pid: int) -> set[int]:
    """Return the processes of a process group."""
    found = set()
    for each in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        with suppress(ProcessLookupError):
            found |= {each} if os.getpgid(each) == pid else set()
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_writes_the_tables_and_says_how_to_go_on(
    suite_file: Path, data: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    output = tmp_path / "out"
    arguments = ["benchmark", suite_file, "--data", data, "-o", output, "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)], text=True, process_group=0, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    until(lambda: process.poll() is not None or list(output.glob("cells/*.json")), "a cell", 300)
    family = group_of(process.pid)
    with suppress(ProcessLookupError):
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    shown, told = process.communicate()
    assert process.returncode == code, told
    rows = list(csv.DictReader((output / "small.csv").read_text().splitlines()))
    state = {tuple(row[name] for name in CellKey._fields): row["state"] for row in rows}
    count = Counter(state.values())
    assert set(count) == {"done", "not_run"}
    assert count["done"] >= told.count(" F1 ")
    assert sum(count.values()) == CELLS
    assert {row["why"] for row in rows if row["state"] == "not_run"} == {"the run was stopped"}
    assert (output / "small.html").is_file()
    assert "tiny" in shown
    assert f"{count['not_run']} cells are left; nerbert benchmark " in told
    assert told.splitlines()[-1].endswith("stopped; rerun the command to resume")
    assert "Traceback" not in told
    until(lambda: all(map(is_gone, family)), "the end of the processes", 300)
