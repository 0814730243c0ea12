"""F1 against words per CPU-second and memory, by number of sentences: from RESULTS/SUITE.csv and RESULTS/speeds.json.

`python benchmarks/draw_frontier.py RESULTS [--suite frontier] [--protocol NAME] [-o PICTURE]`

The picture ends in .svg, .png or .pdf; default: RESULTS/SUITE.svg. Systems without a measured speed (frontier.py), or
without a result on some data set, are left out, and listed.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from figures import OWN_F1, Result, open_panels, plain_axes, read_results, styles_of
from frontier import SPEEDS, Speed, Speeds

from nerbert.errors import InputError, NerbertError, at
from nerbert.schema import read_json


def main() -> None:
    """Draw the picture, and print its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--suite", default="frontier")
    parser.add_argument("--protocol", default="")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    path = options.output or options.results / f"{options.suite}.svg"
    try:
        frontier = read_frontier(options.results, options.suite, options.protocol)
        draw_frontier(frontier, path)
    except NerbertError as error:
        sys.exit(str(error))
    for line in frontier.missing:
        print(f"not drawn: {line}", file=sys.stderr)
    print(path)


class FrontierPoint(NamedTuple):
    """A system at a size: the mean F1 (0–1) over all targets, and the lowest and highest of its runs."""

    system: str
    f1: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """All data of the picture; `missing` lists the points that it lacks, with reasons."""

    targets: Sequence[str]
    speeds: Mapping[str, Speed]
    """Speeds of the systems that have a point."""
    points: Mapping[str, Sequence[FrontierPoint]]
    """Points by size, slowest first."""
    published: Mapping[tuple[str, str], float]
    """(paper, size) → mean F1 (0–1) over the same targets."""
    missing: Sequence[str]

    def best(self, size: str) -> list[FrontierPoint]:
        """Return the points of a size that no other point beats in both speed and F1, slowest first."""
        best: list[FrontierPoint] = []
        for point in reversed(self.points[size]):
            if not best or point.f1 > best[-1].f1:
                best.append(point)
        return best[::-1]


def read_frontier(results: Path, suite: str = "frontier", protocol: str = "") -> Frontier:
    """Read a suite's CSV and the speeds from a folder of `nerbert benchmark`; raise InputError if one is missing."""
    read = read_results(results, suite, protocol)
    if not (results / SPEEDS).is_file():
        raise InputError(f"{results / SPEEDS}: no such file; it has each system's words_per_cpu_second and memory_mb")
    with at(results / f"{suite}.csv"):
        return frontier_of(read, read_json(results / SPEEDS, Speeds).systems)


def frontier_of(results: Iterable[Result], speeds: Mapping[str, Speed]) -> Frontier:
    """Return the picture's data; raise InputError if there is nothing to draw."""
    runs: dict[tuple[str, str], dict[str, dict[tuple[str, str], float]]] = defaultdict(lambda: defaultdict(dict))
    papers: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    systems, targets, sizes = dict[str, None](), dict[str, None](), dict[str, None]()
    for result in sorted(results, key=lambda result: result.metric == OWN_F1):  # these replace the others
        if result.state == "published" and result.f1 is not None:
            papers[result.system, result.size][result.target] = result.f1
            continue
        systems[result.system], targets[result.target], sizes[result.size] = None, None, None
        if result.f1 is not None:
            runs[result.system, result.size][result.target][result.run] = result.f1
    published = {paper: fmean(f1s.values()) for paper, f1s in papers.items() if f1s.keys() == targets.keys()}
    missing, points = list[str](), dict[str, list[FrontierPoint]]()
    for system in systems:
        if system not in speeds:
            missing.append(f"{system}: no speed in {SPEEDS}")
            continue
        complete = [size for size in sizes if runs[system, size].keys() == targets.keys()]
        for size in complete:  # each target has the same weight; only runs that all targets have count
            by_target = runs[system, size].values()
            common = set.intersection(*map(set, by_target))
            means = [fmean(f1s[run] for f1s in by_target) for run in sorted(common)]
            mean = fmean(fmean(f1s.values()) for f1s in by_target)
            point = FrontierPoint(system, mean, min([*means, mean]), max([*means, mean]))
            points.setdefault(size, []).append(point)
        if lacking := [size for size in sizes if size not in complete]:
            missing.append(f"{system} at {', '.join(lacking)}: no result on some target")
    if not points:
        raise InputError(f"nothing to draw: {'; '.join(missing)[:300] or 'no record of a run'}")
    pace = {system: speed.words_per_cpu_second for system, speed in speeds.items()}
    by_size = {
        size: sorted(points.get(size, ()), key=lambda point: (pace[point.system], point.f1))
        for size in sizes
        if size in points or size in {size for _, size in published}
    }
    drawn = {point.system for of_size in points.values() for point in of_size}
    drawn_speeds = {system: speeds[system] for system in systems if system in drawn}
    return Frontier(list(targets), drawn_speeds, by_size, published, missing)


def draw_frontier(frontier: Frontier, output: Path) -> None:
    """Draw F1 against words per CPU-second, one panel per size; areas are memory, the line joins the best systems."""
    styles = styles_of(frontier.speeds)
    with open_panels(output, len(frontier.points), 2.8, sharex=True, sharey=True) as (figure, panels):
        for panel, size in zip(panels.flat, frontier.points, strict=False):
            _draw_size(panel, frontier, size, styles)
        for name, (colour, shape) in styles.items():
            label = f"{name}, {frontier.speeds[name].memory_mb:,.0f} MB"
            panels[0, 0].plot([], [], color=colour, marker=shape, linestyle="", markersize=6, label=label)
        panels[-1, panels.shape[1] // 2].set_xlabel("words per CPU-second, one thread")
        figure.supylabel(f"entity F1 in percent, mean of {len(frontier.targets)} sets", fontsize=9)


def _draw_size(panel: Any, frontier: Frontier, size: str, styles: Mapping[str, tuple[str, str]]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.xaxis.set_minor_formatter(NullFormatter())
    titles = {"0": "no sentence", "all": "all sentences", "1": "1 sentence"}
    plain_axes(panel, titles.get(size, f"{size} sentences" if size.isdecimal() else size))
    best = frontier.best(size)
    speeds = [frontier.speeds[point.system].words_per_cpu_second for point in best]
    panel.plot(speeds, [100 * point.f1 for point in best], color="#b0b0b0", linewidth=1.2, zorder=1)
    for point in frontier.points[size]:
        (colour, shape), speed = styles[point.system], frontier.speeds[point.system]
        x, area = speed.words_per_cpu_second, 20 + speed.memory_mb / 12
        panel.plot([x, x], [100 * point.low, 100 * point.high], color=colour, linewidth=1, zorder=2)
        panel.scatter([x], [100 * point.f1], s=area, color=colour, marker=shape, alpha=0.85, linewidth=0, zorder=3)
    for (paper, paper_size), f1 in frontier.published.items():
        if paper_size == size:
            panel.axhline(100 * f1, color="#555555", linestyle=":", linewidth=1)
            panel.annotate(
                f"{paper} (published)",
                (1, 100 * f1),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=7,
                color="#555555",
            )


if __name__ == "__main__":
    main()
