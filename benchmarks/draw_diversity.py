"""F1 by number of texts and types that pre-training has seen: from the CSV of suites/diversity.toml.

`python benchmarks/draw_diversity.py RESULTS [-o PICTURE]`

One panel for each size of the training data; a line for each number of types, the mean over the data sets that have a
result of every system that ran. The dotted line has no pre-training.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from nerbert.errors import InputError, NerbertError
from nerbert.evaluation.figures import F1, Result, read_results
from nerbert.render.figures import open_panels, plain_axes, styles_of

SUITE, BASE = "diversity", "none"
Means = dict[str, dict[str, float]]
"""Mean F1 (0–1) by size of the training data and system."""


def main() -> None:
    """Draw the picture, and print its path and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    path = options.output or options.results / f"{SUITE}.svg"
    try:
        means = means_of(read_results(options.results, SUITE))
        draw(means, path)
    except NerbertError as error:
        sys.exit(str(error))
    for size, systems in means.items():
        for system, f1 in systems.items():
            print(f"{size:>5} {system:<26} {100 * f1:.1f}")
    print(path)


def means_of(results: Iterable[Result]) -> Means:
    """Return the means over runs, then over the data sets that all systems of a size have; raise InputError if none."""
    runs: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for result in results:
        if result.metric == F1 and result.f1 is not None:
            runs[result.size][result.system][result.target].append(result.f1)
    means: Means = {}
    for size, systems in runs.items():
        shared = set.intersection(*(set(targets) for targets in systems.values()))
        if shared:
            means[size] = {
                system: fmean(fmean(of[target]) for target in sorted(shared)) for system, of in systems.items()
            }
    if not means:
        raise InputError("nothing to draw: no data set has a result of all systems that ran")
    return means


def draw(means: Mapping[str, Mapping[str, float]], output: Path) -> None:
    """Draw the means, in percent, against the number of texts."""
    types = dict.fromkeys(system.split(", ")[-1] for of in means.values() for system in of if system != BASE)
    with open_panels(output, len(means), 3, sharex=True) as (figure, panels):
        for panel, (size, systems) in zip(panels.flat, means.items(), strict=False):
            for name, (colour, shape) in styles_of(types).items():
                points = sorted((_texts(system), 100 * f1) for system, f1 in systems.items() if system.endswith(name))
                panel.plot(*zip(*points, strict=True), color=colour, marker=shape, markersize=5, label=name)
            if BASE in systems:
                panel.axhline(100 * systems[BASE], color="#555555", linestyle=":", linewidth=1, label="no pre-training")
            panel.set_xscale("log")
            ticks = sorted({_texts(system) for system in systems if system != BASE})
            panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            panel.minorticks_off()
            panel.set_xlabel("passages")
            plain_axes(panel, f"{size.removeprefix('k=')} entities a type")
        figure.supylabel("entity F1 in percent, mean of the sets", fontsize=9)


def _texts(system: str) -> int:
    """Return the number of texts in a system's name, as in "1,000 texts, 20 types"."""
    return int(system.partition(" ")[0].replace(",", ""))


if __name__ == "__main__":
    main()
