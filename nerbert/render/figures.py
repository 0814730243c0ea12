"""Pictures of results as files, drawn by matplotlib (extra `figures`); equal results give equal files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.artifacts import publish
from nerbert.errors import need
from nerbert.finetuning.sampling import parse_size

if TYPE_CHECKING:
    from nerbert.evaluation.figures import Curves
    from nerbert.evaluation.tables.statistics import Summary
    from nerbert.rng import Array

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#7f7f7f", "#a6761d", "#000")
"""Colours that colour-blind people can distinguish (Okabe and Ito, extended); shapes differ as well."""
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "<")
_ACROSS, _NAMED = 3, 4
"""Panels per row; Figure 1 names every fourth category."""
_IMPROVEMENT: Any = {"color": "#7f7f7f", "linestyle": "--", "linewidth": 1}
_UNDATED: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_STYLE: Any = {
    "svg.hashsalt": "nerbert", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9,
    "font.family": "sans-serif",
}  # fmt: skip
Style = tuple[str, str]
"""Colour and shape."""


@contextmanager
def _picture(output: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield a figure of a size in inches, and write it."""
    need("figures", "matplotlib")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        ending = output.suffix.removeprefix(".")
        with publish(output) as draft:
            figure.savefig(draft, format=ending, dpi=150, metadata=_UNDATED.get(ending, {}))


@contextmanager
def open_panels(output: Path, count: int, side: float, **more: Any) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its panels, `count` of which are visible; the first one's legend is below all."""
    rows, across = -(-count // _ACROSS), min(_ACROSS, count)
    with _picture(output, (max(4, side * across), 0.9 + side * rows)) as figure:
        panels = figure.subplots(rows, across, squeeze=False, **more)
        yield figure, panels
        for panel in panels.flat[count:]:
            panel.set_axis_off()
        drawn = [*panels[0, 0].lines, *panels[0, 0].collections]  # a name may begin with _, as default labels do
        named = [mark for mark in drawn if mark.get_label() and not mark.get_label().startswith("_child")]
        figure.legend(handles=named, loc="outside lower center", ncols=_ACROSS, frameon=False, fontsize=8)


def plain_axes(panel: Any, title: str = "") -> None:
    """Give a panel a title, a light grid, and no frame above and to the right."""
    panel.set_title(title, fontsize=9, loc="left")
    panel.grid(color="#e5e5e5", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """Return a colour and a shape for each name, different for up to a hundred."""
    return {name: (_COLOURS[at % 10], _SHAPES[(at + at // 10) % 10]) for at, name in enumerate(names)}


def draw_categories(names: Sequence[str], counts: Mapping[str, Sequence[int]], output: Path) -> None:
    """Draw the entities of an evenly spaced quarter of the categories (Figure 1); `counts` has the bars by label."""
    named, height = names[::_NAMED], 0.8 / len(counts)
    with _picture(output, (7, 0.9 + 0.2 * len(named))) as figure:
        panel = figure.subplots()
        for number, (label, values) in enumerate(counts.items()):
            heights = [rank + (number - 0.5) * height for rank in range(len(named))]
            panel.barh(heights, values[::_NAMED], height, color=_COLOURS[number], label=label)
        panel.set_yticks(range(len(named)), named)
        panel.invert_yaxis()
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.margins(y=0.01)
        panel.set_xlabel("entities")
        panel.legend(frameon=False)
        plain_axes(panel)


def draw_all_categories(counts: Mapping[str, Sequence[int]], output: Path) -> None:
    """Draw the entities of all categories by rank (Figure 8); `counts` has the lines by their labels."""
    with _picture(output, (7, 3.6)) as figure:
        panel = figure.subplots()
        for (label, values), (colour, shape) in zip(counts.items(), styles_of(counts).values(), strict=True):
            points = [(rank, count) for rank, count in enumerate(values, 1) if count]
            panel.plot(*zip(*points, strict=True), color=colour, linestyle="", marker=shape, markersize=3, label=label)
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.set_xlabel("categories, the most frequent first")
        panel.set_ylabel("entities")
        panel.legend(frameon=False)
        plain_axes(panel)


def draw_few_labels(curves: "Curves", output: Path) -> None:
    """Draw F1 by size, a panel for each target, with the 95 % interval if there are three runs (Figure 2); of two
    systems also the second's improvement over the first, on a right axis.
    """
    need("benchmark", "scipy")
    styles = styles_of(dict.fromkeys(system for target in curves.values() for system in target))
    with open_panels(output, len(curves), 2.8) as (figure, panels):
        for panel, (target, lines) in zip(panels.flat, curves.items(), strict=False):
            sizes = sorted({size for line in lines.values() for size in line}, key=lambda size: parse_size(size).order)
            for system, (colour, shape) in styles.items():
                line = lines.get(system, {})
                points = [(number, line[size]) for number, size in enumerate(sizes) if size in line]
                panel.plot([x for x, _ in points], [100 * f1.mean for _, f1 in points], color=colour, marker=shape,
                           markersize=4, label=system)  # fmt: skip
                intervals = [(x, *(100 * end for end in f1.interval)) for x, f1 in points if f1.interval]
                columns = zip(*intervals, strict=True) if intervals else ([], [], [])
                panel.fill_between(*columns, color=colour, alpha=0.15, linewidth=0)
            if len(styles) == 2:
                _draw_improvement(panel, [lines.get(system, {}) for system in styles], sizes)
                panel.plot([], [], **_IMPROVEMENT, label="{1} less {0} (right axis)".format(*styles))
            panel.set_xticks(range(len(sizes)), sizes)
            plain_axes(panel, target)
        figure.supylabel("entity F1 in percent", fontsize=9)
        panels[-1, panels.shape[1] // 2].set_xlabel("training sentences")


def _draw_improvement(panel: Any, lines: "Sequence[Mapping[str, Summary]]", sizes: Sequence[str]) -> None:
    """Draw the second line less the first, where both have a point, on an axis that has zero."""
    base, better = lines
    both = [size for size in sizes if size in base and size in better]
    points = [100 * (better[size].mean - base[size].mean) for size in both]
    right = panel.twinx()
    right.plot([sizes.index(size) for size in both], points, **_IMPROVEMENT)
    right.set_ylim(bottom=min([0.0, *points]))
    right.spines["top"].set_visible(False)


def draw_maps(types: Sequence[str], maps: "Mapping[str, Array]", output: Path) -> None:
    """Draw the entities by encoder, one panel each; types differ by colour and shape (Figures 3 to 7)."""
    styles = styles_of(name for name, _ in Counter(sorted(types)).most_common())
    with open_panels(output, len(maps), 3.2) as (_, panels):
        for panel, (encoder, positions) in zip(panels.flat, maps.items(), strict=False):
            panel.set_axis_off()
            for name, (colour, shape) in styles.items():
                of_type = [index for index, type_ in enumerate(types) if type_ == name]
                panel.scatter(*positions[of_type].T, s=9, color=colour, marker=shape, linewidth=0, label=name)
            panel.set_title(encoder, fontsize=8)
