"""Ray with one node against local workers: CPU seconds of the same build, all processes counted, alternately.

`python benchmarks/cluster.py DUMP KNOWLEDGE… [--copies 8] [--workers 2] [--repeats 3]`

Each side's processes have a mark in their environment; their times are read from the system four times a second until
they end, so daemons and workers that nobody waits for are counted, too (Linux only).
A third side starts and stops a cluster that runs one empty task for each worker: what it takes is the start.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread
from uuid import uuid4

from big_dump import copies_of
from report import ratio, surroundings

_EVERY = 0.25
_EMPTY = "from nerbert.executors import open_executor as o\nwith o('ray') as e: list(e.map_ordered(abs, range(8)))"


def main() -> None:
    """Measure all sides; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", type=Path)
    parser.add_argument("knowledge", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    taken: dict[str, list[float]] = {"local": [], "ray": [], "ray, no work": []}
    with tempfile.TemporaryDirectory() as work:
        big = copies_of(options.dump, Path(work), options.copies)
        out, tool = Path(work, "out"), shutil.which("nerbert") or "nerbert"
        build = [tool, "corpus", "build", str(big), "--knowledge", *map(str, options.knowledge), "-o", str(out)]
        sides = {"local": [*build, "--workers", str(options.workers)], "ray": [*build, "--executor", "ray"],
                 "ray, no work": [sys.executable, "-c", _EMPTY]}  # fmt: skip
        for _ in range(options.repeats):
            for name, command in sides.items():
                shutil.rmtree(out, ignore_errors=True)
                taken[name].append(_measure(command, options.workers if "ray" in name else 0))
                print(name, f"{taken[name][-1]:.1f}", file=sys.stderr, flush=True)
    work_only = [each - median(taken["ray, no work"]) for each in taken["ray"]]
    print("| side | CPU seconds |\n|---|---|")
    for name, each in [*taken.items(), ("ray, without its start", work_only)]:
        print(f"| {name} | {median(each):.1f} ({min(each):.1f}–{max(each):.1f}) |")
    print(f"\nRay without its start takes {ratio(work_only, taken['local'])} times the CPU time of local workers")
    print("\n" + json.dumps({"taken": taken, **surroundings([options.dump], ("nerbert", "ray", "pyarrow"))}))


def _measure(command: Sequence[str], cores: int) -> float:
    """Return the CPU seconds of a command and of all its descendants, with a Ray cluster of so many cores around it."""
    mark, taken, over = f"NERBERT_MEASURED={uuid4().hex}", dict[str, float](), Event()
    watching = Thread(target=_watch, args=(mark.encode(), taken, over))
    watching.start()
    try:
        if not _run(command, cores, dict(os.environ, **dict([mark.split("=")]))):
            sys.exit(f"failed: {' '.join(command)}")
    finally:
        over.set()
        watching.join()
    return sum(taken.values())


def _watch(mark: bytes, taken: dict[str, float], over: Event) -> None:
    """Keep the CPU seconds of each process that has the mark in its environment, until the work is over."""
    ours: dict[str, bool] = {}
    while not over.wait(_EVERY):
        for process in [each.name for each in Path("/proc").iterdir() if each.name.isdigit()]:
            with suppress(OSError):
                if not ours.get(process):
                    ours[process] = mark in Path("/proc", process, "environ").read_bytes()
                if ours[process]:
                    fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
                    taken[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run(command: Sequence[str], cores: int, environment: Mapping[str, str]) -> bool:
    ray = shutil.which("ray") or "ray"
    if cores:
        _quietly([ray, "start", "--head", f"--num-cpus={cores}", "--include-dashboard=false"], environment)
    good = _quietly(command, environment)
    if cores:
        _quietly([ray, "stop"], environment)
    return good


def _quietly(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a command ended well; what it prints is lost."""
    nowhere = subprocess.DEVNULL
    return not subprocess.run(command, env=environment, stdout=nowhere, stderr=nowhere, check=False).returncode


if __name__ == "__main__":
    main()
