"""Pictures of results as files, drawn by matplotlib (extra `figures`)."""

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.artifacts import publish
from nerbert.errors import SettingsError, need

if TYPE_CHECKING:
    from nerbert.evaluation.figures.frontier import Frontier

KINDS = ("svg", "png", "pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#7f7f7f", "#a6761d", "#000")
"""Told apart by the colour-blind (Okabe and Ito, and more); shapes differ as well."""
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "<")
_ACROSS = 3
_UNDATED: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata by kind of file: without the time, equal results give equal pictures."""
STYLE: Any = {
    "svg.hashsalt": "nerbert",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "font.family": "sans-serif",
}


def check_picture(path: Path) -> None:
    """Raise SettingsError for a picture's file of a kind that isn't drawn."""
    if path.suffix.removeprefix(".") not in KINDS:
        raise SettingsError(f"--output {path}: must end in .{', .'.join(KINDS)}")


def draw_frontier(frontier: "Frontier", output: Path) -> None:
    """Draw F1 against words per CPU-second, a panel for each size; the area of a mark is memory.

    The line joins the systems that no other one beats in both. Bars reach from the lowest run to the highest.
    """
    need("figures", "matplotlib")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        rows = -(-len(frontier.sizes) // _ACROSS)
        figure = Figure(figsize=(9, 0.9 + 2.55 * rows), layout="constrained")
        panels = figure.subplots(rows, min(_ACROSS, len(frontier.sizes)), sharex=True, sharey=True, squeeze=False)
        styles = dict(zip(frontier.systems, zip(cycle(COLOURS), cycle(SHAPES), strict=False), strict=False))
        for panel, size in zip(panels.flat, frontier.sizes, strict=False):
            _draw_size(panel, frontier, size, styles)
        for panel in panels.flat[len(frontier.sizes) :]:
            panel.set_axis_off()
        panels[-1, panels.shape[1] // 2].set_xlabel("words per CPU-second, one thread")
        figure.supylabel(f"entity F1 in percent, mean of {len(frontier.targets)} sets", fontsize=9)
        handles = [_mark(*styles[name], f"{name}, {speed.memory_mb:,.0f} MB")
                   for name, speed in frontier.systems.items()]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=_ACROSS, frameon=False, fontsize=8)
        write_picture(figure, output)


def write_picture(figure: Any, output: Path) -> None:
    """Write a figure as its file's kind."""
    kind = output.suffix.removeprefix(".")
    with publish(output) as draft:
        figure.savefig(draft, format=kind, dpi=150, metadata=_UNDATED.get(kind, {}))


def plain_axes(panel: Any) -> None:
    """Give a panel a light grid, and no frame above and to the right."""
    panel.grid(color="#e5e5e5", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_size(panel: Any, frontier: "Frontier", size: str, styles: dict[str, tuple[str, str]]) -> None:
    """Draw one panel."""
    from matplotlib.ticker import LogLocator, NullFormatter

    panel.set_title(_title(size), fontsize=9, loc="left")
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.xaxis.set_minor_formatter(NullFormatter())
    plain_axes(panel)
    best = frontier.best(size)
    panel.plot([each.speed.words_per_cpu_second for each in best], [100 * each.f1 for each in best],
               color="#b0b0b0", linewidth=1.2, zorder=1)  # fmt: skip
    for point in frontier.at(size):
        colour, shape = styles[point.system]
        x, area = point.speed.words_per_cpu_second, 20 + point.speed.memory_mb / 12
        panel.plot([x, x], [100 * point.low, 100 * point.high], color=colour, linewidth=1, zorder=2)
        panel.scatter([x], [100 * point.f1], s=area, color=colour, marker=shape, alpha=0.85, linewidth=0, zorder=3)
    for paper in frontier.published:
        if paper.size == size:
            panel.axhline(100 * paper.f1, color="#555555", linestyle=":", linewidth=1)
            panel.annotate(f"{paper.name} (published)", (1, 100 * paper.f1), xycoords=("axes fraction", "data"),
                           ha="right", va="bottom", fontsize=7, color="#555555")  # fmt: skip


def _mark(colour: str, shape: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=shape, linestyle="", markersize=6, label=label)


def _title(size: str) -> str:
    return {"0": "no sentence", "all": "all sentences", "1": "1 sentence"}.get(
        size, f"{size} sentences" if size.isdecimal() else size
    )
