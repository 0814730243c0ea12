"""What a whole Wikipedia would take on 1, 4, 16 and 64 machines: an estimate from the measured costs of parts.

`python benchmarks/plan.py DUMP KNOWLEDGE… [--copies 8] [--bytes 25e9] [--machines 1 4 16 64] [--cores 16]`

One core builds the corpus of DUMP (a .bz2), and that of COPIES of it under other titles; each task's CPU time is taken.
What lies between the tasks (reading knowledge and titles, joining types, the manifest) runs on one machine whatever
their number: a line through the two sizes says how it grows. The whole dump has tasks of 8 MB (`step_of`), with costs
drawn from the measured ones, run as the executors do: in order, two tasks a worker ahead. Machines start 30 to 120
seconds late and differ in speed (log-normal, sigma 0.1); one task in 200 takes three times as long. Of 20 draws the
median is shown, and the range. It is an estimate: no such run was made.
"""

import argparse
import heapq
import json
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from big_dump import copies_of
from report import surroundings

from nerbert.corpus.build import CorpusPlan, build_corpus
from nerbert.corpus.dump.parts import step_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.executors import ONE_CORE, LocalExecutor, Resources

GB = 1e9
DRAWS, LATE, SPREAD, STRAGGLERS, SLOWER = 20, (30.0, 120.0), 0.1, 1 / 200, 3.0


class Costs(NamedTuple):
    """Seconds of one core for each byte of the dump, of each stage's tasks; and bytes made for each byte."""

    stages: list[list[float]]
    between: float
    """Seconds of one core in all."""
    corpus: float
    work: float
    peak: int


class Timed(LocalExecutor):
    """Runs tasks in this process, and keeps the CPU seconds of each, by stage."""

    def __init__(self) -> None:
        super().__init__(1)
        self.stages: list[list[float]] = []

    def map_ordered(
        self, task: Callable[[Any], Any], items: Iterable[Any], needs: Resources = ONE_CORE
    ) -> Iterator[Any]:
        """Yield the results; only the tasks themselves are timed."""
        taken: list[float] = []
        self.stages.append(taken)
        for item in items:
            start = time.process_time()
            result = task(item)
            taken.append(time.process_time() - start)
            yield result


def measure(dump: Path, knowledge: Sequence[Path], work: Path) -> Costs:
    """Build the corpus of a dump, and return the costs for a byte."""
    size, timed, start = dump.stat().st_size, Timed(), time.process_time()
    target = work / "corpus"
    shutil.rmtree(target, ignore_errors=True)
    plan = CorpusPlan((dump,), tuple(knowledge), target)
    build_corpus(plan, CorpusSettings(split_bytes=1 << 20), executor=timed)
    between = time.process_time() - start - sum(map(sum, timed.stages))
    made = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    passed = sum(path.stat().st_size for name in ("pages", "titles") for path in (target / name).glob("*"))
    stages = [[each * len(stage) / size for each in stage] for stage in timed.stages]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Costs(stages, between, made / size, passed / size, peak)


def simulate(costs: Costs, size: float, machines: int, cores: int, chance: random.Random) -> float:
    """Return the wall-clock seconds of a build of `size` bytes."""
    step = step_of(int(size), packed=True, wanted=0)
    speeds = [chance.lognormvariate(0, SPREAD) for _ in range(machines)]
    free = [(chance.uniform(*LATE), machine) for machine in range(machines) for _ in range(cores)]
    now = 0.0
    for stage in costs.stages:
        now = _stage(stage, int(size / step), step, speeds, [(max(now, at), machine) for at, machine in free], chance)
    return now + costs.between


def _stage(
    stage: Sequence[float], tasks: int, step: int, speeds: Sequence[float], free: list[tuple[float, int]],
    chance: random.Random,
) -> float:  # fmt: skip
    """Return when the last of a stage's tasks ends; a task starts once the one `ahead` before it has been taken."""
    ahead, taken, last = 2 * len(free), list[float](), 0.0
    heapq.heapify(free)
    for number in range(tasks):
        at, machine = heapq.heappop(free)
        if number > ahead:
            at = max(at, taken[number - ahead - 1])
        seconds = chance.choice(stage) * step * speeds[machine] * (SLOWER if chance.random() < STRAGGLERS else 1)
        heapq.heappush(free, (at + seconds, machine))
        last = max(last, at + seconds)
        taken.append(last)
    return last


def main() -> None:
    """Measure, simulate; print tables, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", type=Path)
    parser.add_argument("knowledge", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--bytes", type=float, default=25e9)
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        small = measure(options.dump, options.knowledge, Path(work))
        large = copies_of(options.dump, Path(work), options.copies)
        costs = measure(large, options.knowledge, Path(work))
        sizes = options.dump.stat().st_size, large.stat().st_size
    size, hour = options.bytes, 3600
    slope = (costs.between - small.between) / (sizes[1] - sizes[0])
    costs = costs._replace(between=small.between + slope * (size - sizes[0]))
    first, *later = (sum(stage) / len(stage) * size / hour for stage in costs.stages)
    print(f"of {size / GB:g} GB: pass 1 {first:.2f} core-hours, later steps' tasks {sum(later):.2f}, between the tasks "
          f"{costs.between / hour:.2f} hours of one core; corpus {costs.corpus * size / GB:.0f} GB, pass 1 in the "
          f"work folder {costs.work * size / GB:.0f} GB; a process held {costs.peak / GB:.2f} GB\n")  # fmt: skip
    print(f"| machines of {options.cores} cores | hours | range | busy |\n|---|---|---|---|")
    rows = []
    for machines in options.machines:
        drawn = [simulate(costs, size, machines, options.cores, random.Random(seed)) for seed in range(DRAWS)]  # noqa: S311
        busy = (first + sum(later) + costs.between / hour) * hour / (median(drawn) * machines * options.cores)
        rows.append({"machines": machines, "hours": [each / hour for each in drawn], "busy": busy})
        low, high = min(drawn) / hour, max(drawn) / hour
        print(f"| {machines} | {median(drawn) / hour:.2f} | {low:.2f}–{high:.2f} | {100 * busy:.0f} % |")
    print("\n" + json.dumps({"runs": rows, **surroundings([options.dump], ("nerbert", "pyarrow", "duckdb"))}))


if __name__ == "__main__":
    main()
