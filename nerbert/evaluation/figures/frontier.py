"""F1 of a suite's systems at each training size, beside their speed and memory: the data of one picture.

F1 is from the suite's CSV, speeds are from `speeds.json`, so a reader can add a system's line.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field

from nerbert.errors import InputError, at
from nerbert.evaluation.figures.records import F1, OWN_F1, PUBLISHED, csv_of, read_records, share_of
from nerbert.schema import read_json

SPEEDS = "speeds.json"
"""The file of speeds in the folder of results."""
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Speed:
    """What tagging with a system costs: words per CPU-second (one thread), and memory in MB at its peak."""

    words_per_cpu_second: _Positive
    memory_mb: _Positive


@dataclass(frozen=True, slots=True)
class Speeds:
    """The content of `speeds.json`: speeds by the name of a system; `about` says how they were measured."""

    systems: dict[str, Speed]
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A system at a size: the mean F1 (0–1) over all targets, and the lowest and highest of its runs."""

    system: str
    size: str
    f1: float
    low: float
    high: float
    speed: Speed


@dataclass(frozen=True, slots=True)
class PublishedMean:
    """A paper's mean F1 (0–1) over the same targets at a size."""

    name: str
    size: str
    f1: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that the picture shows; `missing` says which points it lacks, and why."""

    sizes: Sequence[str]
    targets: Sequence[str]
    systems: Mapping[str, Speed]
    points: Sequence[FrontierPoint]
    published: Sequence[PublishedMean]
    missing: Sequence[str]

    def at(self, size: str) -> list[FrontierPoint]:
        """Return the points of a size, the slowest first."""
        found = (point for point in self.points if point.size == size)
        return sorted(found, key=lambda point: (point.speed.words_per_cpu_second, point.f1))

    def best(self, size: str) -> list[FrontierPoint]:
        """Return the points of a size that no other one beats in both speed and F1, the slowest first."""
        best: list[FrontierPoint] = []
        for point in reversed(self.at(size)):
            if not best or point.f1 > best[-1].f1:
                best.append(point)
        return best[::-1]


def read_frontier(results: Path, suite: str = "frontier") -> Frontier:
    """Read a suite's CSV and the speeds from a folder of `nerbert benchmark`; raise InputError for what isn't there."""
    path = csv_of(results, suite)
    if not (results / SPEEDS).is_file():
        raise InputError(f"{results / SPEEDS}: no such file; it has each system's words_per_cpu_second and memory_mb")
    with at(path):
        return frontier_of(read_records(path), read_json(results / SPEEDS, Speeds).systems)


def frontier_of(records: Iterable[Mapping[str, str]], speeds: Mapping[str, Speed]) -> Frontier:
    """Return the picture's data from records of a benchmark; raise InputError where there is nothing to draw."""
    runs: dict[tuple[str, str], dict[str, dict[tuple[str, str], float]]] = defaultdict(lambda: defaultdict(dict))
    papers: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    systems, targets, sizes = dict[str, None](), dict[str, None](), dict[str, None]()
    for each in sorted(records, key=lambda record: record["metric"] == OWN_F1):  # these take the others' places
        place = (each["system"], each["size"])
        if each["state"] == PUBLISHED:
            if each["metric"] == F1:
                papers[place][each["target"]] = share_of(each)
            continue
        systems[each["system"]], targets[each["target"]], sizes[each["size"]] = None, None, None
        if each["metric"] in (F1, OWN_F1) and not each["type"]:
            runs[place][each["target"]][each["draw"], each["seed"]] = share_of(each)
    missing, points = list[str](), list[FrontierPoint]()
    for system in systems:
        if system not in speeds:
            missing.append(f"{system}: no speed in {SPEEDS}")
            continue
        whole = [size for size in sizes if runs[system, size].keys() == targets.keys()]
        points += [_point(system, size, runs[system, size], speeds[system]) for size in whole]
        if lacking := [size for size in sizes if size not in whole]:
            missing.append(f"{system} at {', '.join(lacking)}: no result on some target")
    if not points:  # a size without any has no panel
        raise InputError(f"nothing to draw: {'; '.join(missing)[:300] or 'no record of a run'}")
    published = [PublishedMean(name, size, fmean(each.values())) for (name, size), each in papers.items()
                 if each.keys() == targets.keys()]  # fmt: skip
    drawn = {point.system: point.speed for point in points}
    shown = {point.size for point in points} | {paper.size for paper in published}
    return Frontier([size for size in sizes if size in shown], list(targets), drawn, points, published, missing)


def _point(system: str, size: str, found: Mapping[str, Mapping[tuple[str, str], float]], speed: Speed) -> FrontierPoint:
    """Return a system's point: each target has the same weight; a run counts if it is there on all of them."""
    common = set.intersection(*(set(each) for each in found.values()))
    means = [fmean(each[run] for each in found.values()) for run in sorted(common)]
    mean = fmean(fmean(each.values()) for each in found.values())
    return FrontierPoint(system, size, mean, min([*means, mean]), max([*means, mean]), speed)
