"""How every benchmark measures and reports: both sides, ratio, spread; the last line of stdout is the same as JSON.

A side is one or more commands, each a process tree of its own. CPU seconds are user and system time of the tree, as the
kernel counts them for a process and all children it waited for (`wait4`, in timed.py); the peak is the largest process
of the tree.
Sides run alternately, so that a machine that slows down slows all of them. The ratio is of medians; its spread is the
worst and the best pair of runs, which with few runs says more than a standard deviation would.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """One command's cost, and the counts that it printed as JSON in its last line."""

    name: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a side over `size` bytes of XML: its commands, one after the other."""

    side: str
    size: int
    parts: tuple[Part, ...]

    @property
    def cpu_seconds(self) -> float:
        """Of all commands together."""
        return sum(part.cpu_seconds for part in self.parts)

    @property
    def peak_bytes(self) -> int:
        """Of the largest process."""
        return max(part.peak_bytes for part in self.parts)

    @property
    def speed(self) -> float:
        """MB of XML per CPU second."""
        return self.size / MB / self.cpu_seconds

    @property
    def counts(self) -> dict[str, Any]:
        """What the last command that counted has counted."""
        return next((part.counts for part in reversed(self.parts) if part.counts), {})


def measure(name: str, command: Sequence[str | Path], log: Path) -> Part:
    """Run one command to its end; its output goes to `log`. A command that fails ends the benchmark."""
    usage = log.with_suffix(".usage")
    launcher = [sys.executable, "-S", str(Path(__file__).with_name("timed.py")), str(usage)]
    begin = time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run([*launcher, *map(str, command)], stdout=output, stderr=subprocess.STDOUT, check=False)
    wall = time.monotonic() - begin
    if done.returncode:
        sys.exit(f"{name}: exit code {done.returncode}; see {log}")
    return Part(name=name, wall_seconds=wall, counts=_last_json(log), **json.loads(usage.read_text()))


def _last_json(log: Path) -> dict[str, Any]:
    lines = log.read_text(errors="replace").strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def alternate(sides: Mapping[str, Callable[[], Run]], repeats: int) -> list[Run]:
    """Run each side once, then each again, `repeats` times; a line of progress for each run."""
    runs = []
    for number in range(1, repeats + 1):
        for name, side in sides.items():
            run = side()
            runs.append(run)
            print(f"run {number}: {name}: {run.speed:.3f} MB per CPU s; {run.counts}", file=sys.stderr, flush=True)
    return runs


def table(runs: Sequence[Run], against: str) -> str:
    """Markdown: speed with its spread, counts, peak, and how many times faster each side is than `against`."""
    sides = list(dict.fromkeys(run.side for run in runs))
    base = [run.speed for run in runs if run.side == against]
    lines = [
        "| side | MB of XML per CPU s | runs | words | links | sentences | peak MB | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for side in sides:
        own = [run for run in runs if run.side == side]
        speeds = [run.speed for run in own]
        counts = [f"{own[-1].counts.get(name, 0):,}" for name in ("words", "links", "sentences")]
        lines.append(
            f"| {side} | {median(speeds):.3f} ({min(speeds):.3f}–{max(speeds):.3f}) | {len(own)} | "
            + " | ".join(counts)
            + f" | {max(run.peak_bytes for run in own) / MB:.0f} | {ratio(speeds, base)} |"
        )
    return "\n".join(lines)


def parts_table(runs: Sequence[Run]) -> str:
    """Markdown: CPU milliseconds per MB of each command, median of the runs."""
    cost: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for part in run.parts:
            cost.setdefault((run.side, part.name), []).append(1000 * part.cpu_seconds / (run.size / MB))
    rows = [f"| {side} | {name} | {median(each):.1f} |" for (side, name), each in cost.items()]
    return "\n".join(["| side | command | CPU ms per MB |", "|---|---|---|", *rows])


def ratio(speeds: Sequence[float], base: Sequence[float]) -> str:
    """`2.10 (2.05–2.16)`: medians, then the worst and the best pair of runs."""
    if not base:
        return "–"
    return f"{median(speeds) / median(base):.2f} ({min(speeds) / max(base):.2f}–{max(speeds) / min(base):.2f})"


def surroundings(inputs: Sequence[Path], packages: Sequence[str]) -> dict[str, Any]:
    """Machine, commit, versions, command and digests of the input: what a result is worth nothing without."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in packages},
        "command": " ".join(sys.argv),
        "sha256": {f"{path.parent.name}/{path.name}": digest(path) for path in inputs},
    }


def machine() -> str:
    """Processor, cores and memory."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB"


def commit() -> str:
    """The checkout's commit; `+` says that files are changed."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "-uno") else "")


def installed(name: str) -> str:
    """Version of a package, or "–"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_json(runs: Sequence[Run], around: Mapping[str, Any], **more: Any) -> str:
    """One line: everything that the tables were made from."""
    return json.dumps({**around, **more, "runs": [asdict(run) for run in runs]}, ensure_ascii=False)
