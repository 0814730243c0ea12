"""One worker against several: wall-clock seconds of pass 1 on the same dump, alternately.

`python benchmarks/workers.py DUMP [--workers 2] [--repeats 3]`; give it a dump of 100 MB or more, and free cores: what
runs beside it takes from the side with more workers. The processes' start is counted. Memory is the main process's: the
workers are children of a fork server, which nobody waits for.
"""

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from report import MB, Run, alternate, as_json, measure, ratio, surroundings


def main() -> None:
    """Measure both; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        counts = {f"{number}": number for number in (1, options.workers)}
        sides = {name: partial(_run, name, options.dump, Path(work), number) for name, number in counts.items()}
        runs = alternate(sides, options.repeats)
    walls = {name: [run.parts[0].wall_seconds for run in runs if run.side == name] for name in sides}
    one, more = walls.values()
    print("| workers | wall seconds | main process, MB |\n|---|---|---|")
    for name, taken in walls.items():
        peak = max(run.peak_bytes for run in runs if run.side == name) / MB
        print(f"| {name} | {', '.join(f'{each:.1f}' for each in taken)} | {peak:.0f} |")
    times = ratio([1 / each for each in more], [1 / each for each in one])
    print(f"\n{options.workers} workers are {times} times as fast\n")
    print(as_json(runs, surroundings([options.dump], ("nerbert", "lxml", "pyarrow"))))


def _run(side: str, dump: Path, work: Path, workers: int) -> Run:
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    command: list[str | Path] = [
        sys.executable, Path(__file__).with_name("run_pass1.py"), dump, out, "--workers", str(workers)
    ]  # fmt: skip
    return Run(side, dump.stat().st_size, (measure(side, command, work / "run.log"),))


if __name__ == "__main__":
    main()
