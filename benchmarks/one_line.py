"""`nerbert tag` on one line, of this checkout against another one: CPU and wall seconds of a whole process.

`python benchmarks/one_line.py OTHER TAGGER [--repeats 7] [--backend onnx]`; OTHER is a checkout of an earlier commit
(`git worktree add`), TAGGER a tagger's folder with an export. Sides run alternately, after one run each that compiles
the modules and isn't counted. A ratio above 1 says that this checkout is faster. The last lines say what this
checkout's imports cost, by package (`python -X importtime`, the least of the runs).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from report import Part, Run, as_json, measure, ratio, surroundings

HERE = Path(__file__).resolve().parents[1]
TEXT = "The whaler Ingeborg left Bergen in May."
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| *([^.\s]+)")
SHOWN = 12


def main() -> None:
    """Measure both; print a table, the packages' imports, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("tagger", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--backend", default="onnx")
    options = parser.parse_args()
    sides = {"this": HERE, "other": options.other.resolve()}
    how = [str(options.tagger.resolve()), "--backend", options.backend]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "one.txt").write_text(f"{TEXT}\n")
        jobs = {"--text": [*how, "--text", TEXT], "a file": [*how, str(work / "one.txt")]}
        for root in sides.values():
            _runs(root, jobs, work)
        runs = [Run(name, len(TEXT), _runs(root, jobs, work)) for _ in range(options.repeats)
                for name, root in sides.items()]  # fmt: skip
        imports = [_imports(jobs["--text"], work) for _ in range(options.repeats)]
    print("| one line | seconds | this | other | other / this |\n|---|---|---|---|---|")
    for place, job in enumerate(jobs):
        for kind in ("cpu_seconds", "wall_seconds"):
            took = {name: [getattr(run.parts[place], kind) for run in runs if run.side == name] for name in sides}
            speeds = {name: [1 / each for each in seconds] for name, seconds in took.items()}
            middle = " | ".join(f"{median(each):.2f} ({min(each):.2f}–{max(each):.2f})" for each in took.values())
            print(f"| {job} | {kind[:-8]} | {middle} | {ratio(speeds['this'], speeds['other'])} |")
    least = {name: min(each[name] for each in imports) for name in imports[0]}
    shown = sorted(least.items(), key=lambda pair: -pair[1])[:SHOWN]
    print("\nImports, ms: " + ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in shown))
    print(as_json(runs, surroundings([], ("onnxruntime", "tokenizers", "numpy", "pydantic", "cyclopts"))))


def _runs(root: Path, jobs: Mapping[str, Sequence[str]], work: Path) -> tuple[Part, ...]:
    os.environ.update(_environment(root, work))
    return tuple(
        measure(name, [sys.executable, "-P", "-m", "nerbert", "tag", *arguments], work / "log")
        for name, arguments in jobs.items()
    )


def _environment(root: Path, work: Path) -> dict[str, str]:
    """Return what lets a process run a checkout's code, compiled, with one thread."""
    return {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(work / "compiled")}  # fmt: skip


def _imports(arguments: Sequence[str], work: Path) -> Counter[str]:
    """Return the milliseconds that importing each package takes, without those that it imports."""
    command = [sys.executable, "-P", "-X", "importtime", "-m", "nerbert", "tag", *arguments]
    done = subprocess.run(
        command, env=os.environ | _environment(HERE, work), capture_output=True, text=True, check=True
    )
    found = Counter[str]()
    for own, package in IMPORT.findall(done.stderr):
        found[package] += int(own) / 1000  # type: ignore[assignment]
    return found


if __name__ == "__main__":
    main()
