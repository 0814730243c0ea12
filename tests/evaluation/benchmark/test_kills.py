"""The whole command killed and stopped: what is begun again is done once, and nobody is left behind."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nerbert.evaluation.benchmark.cells import CellKey
from nerbert.evaluation.benchmark.suite import Suite
from tests.evaluation.benchmark.outcome import cells_of, made

pytest.importorskip("scipy")
CELLS = 8
LOOKS = 15_000
"""How often something is waited for, every fiftieth of a second."""
COMMAND = """
import signal, sys
from nerbert.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with Ctrl-C ignored
main(sys.argv[1:])
"""


@pytest.fixture
def start(suite_file: Path, data: Path, tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Start the whole command in a process group of its own; nothing of it is left after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin() -> "subprocess.Popen[str]":
        arguments = ["benchmark", suite_file, "--data", data, "-o", tmp_path / "out", "--workers", "2"]
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", COMMAND, *map(str, arguments)], text=True, process_group=0,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        )  # fmt: skip
        return running[-1]

    yield begin
    for each in running:
        with each:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)


def wait_for(something: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until something is true; the process must live that long."""
    for _ in range(LOOKS):
        if something():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    pytest.fail("it never came")


def wait_for_end(family: set[int]) -> None:
    for _ in range(LOOKS):
        if all(map(is_gone, family)):
            return
        time.sleep(0.02)
    pytest.fail("processes are left")


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def below(pid: int) -> set[int]:
    """Processes of a group, by what the system says of each."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == pid:
            found.add(int(path.parent.name))
    return found


@pytest.mark.nightly
def test_killed_and_run_again_it_goes_on(
    start: Callable[[], "subprocess.Popen[str]"], suite: Suite, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = start()
    wait_for(lambda: list(output.glob("cells/*.json")) and list(output.glob(".benchmark/*")), process)
    family = below(process.pid)
    assert len(family) > 1
    process.kill()
    process.communicate(timeout=300)
    wait_for_end(family)
    before = made(output)
    for name in before:
        json.loads((output / name).read_text())
    assert 1 <= sum(name.startswith("cells") for name in before) < CELLS
    again = start()
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    after = made(output)
    assert {name: after[name] for name in before} == before, "what was done is not done again"
    assert sum(" F1 " in line for line in told.splitlines()) == CELLS - sum(name.startswith("cells") for name in before)
    assert not (output / ".benchmark").exists()
    whole = cells_of(suite, data, tmp_path / "whole")
    assert [cell.scores for cell in cells_of(suite, data, output)] == [cell.scores for cell in whole]


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_writes_the_tables_and_says_how_to_go_on(
    start: Callable[[], "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process, output = start(), tmp_path / "out"
    wait_for(lambda: list(output.glob("cells/*.json")) and list(output.glob(".benchmark/*")), process)
    family = below(process.pid)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    shown, told = process.communicate(timeout=300)
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
    wait_for_end(family)
