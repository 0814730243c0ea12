"""F1 by number of texts and types that pre-training has seen: from the CSV of suites/diversity.toml.

`python benchmarks/draw_diversity.py RESULTS [--protocol "own form"] [-o PICTURE]`

A panel has one number of entities per type to fine-tune on, a line one number of types in pre-training. Points are
means over the data sets that every system has been run on; the dotted line has no pre-training.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from figures import Curves, few_labels_of, open_panels, plain_axes, read_results, styles_of

from nerbert.errors import InputError, NerbertError

SUITE, BASE = "diversity", "none"
Means = dict[str, dict[str, float]]
"""Mean F1 (0–1) by number of entities per type (as in the suite: k=4) and system."""


def main() -> None:
    """Draw the picture, and print its path and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--protocol", default="new head")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    path = options.output or options.results / f"{SUITE}.svg"
    try:
        means = means_of(few_labels_of(read_results(options.results, SUITE, options.protocol)))
        draw(means, path)
    except NerbertError as error:
        sys.exit(str(error))
    for size, systems in means.items():
        for system, f1 in systems.items():
            print(f"{size:>5} {system:<26} {100 * f1:.1f}")
    print(path)


def means_of(curves: Curves) -> Means:
    """Return the means over the data sets that have all systems of a size; raise InputError if no size has one."""
    means: Means = {}
    for size in dict.fromkeys(size for lines in curves.values() for line in lines.values() for size in line):
        systems = dict.fromkeys(name for lines in curves.values() for name, line in lines.items() if size in line)
        shared = [lines for lines in curves.values() if all(size in lines.get(name, {}) for name in systems)]
        if shared:
            means[size] = {name: fmean(lines[name][size].mean for lines in shared) for name in systems}
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
