"""A benchmark's results as curves, and frames of pictures, for the scripts that draw.

Pictures are drawn by matplotlib (nerbert-bench[figures]); equal results give equal files.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nerbert.artifacts import publish
from nerbert.errors import InputError, SettingsError, at, need, refused, unknown
from nerbert_bench.tables.results import COLUMNS
from nerbert_bench.tables.statistics import Summary, summary

F1, OWN_F1 = "micro.f1", "at_own_threshold.f1"
"""F1 (zero-shot: at a threshold of 0.5), and zero-shot F1 at the folder's own threshold, as users get it."""


class Result(NamedTuple):
    """F1 (0–1) of one run, or of a paper (`state` published); `f1` is None for a cell without a result."""

    system: str
    protocol: str
    target: str
    size: str
    run: tuple[str, str]
    state: str
    metric: str
    f1: float | None


def read_results(results: Path, suite: str, protocol: str = "") -> list[Result]:
    """Read a suite's CSV in a folder of results: the runs of one protocol, with published figures; raise InputError if
    it is missing or another kind of file, SettingsError unless `protocol` is one of its protocols, or it has only one.
    """
    path = results / f"{suite}.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `nerbert benchmark {suite}.toml -o {results}` first")
    with refused(f"{path}: can't be read", of=OSError), at(path), path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        with refused("can't be read as CSV", of=(csv.Error, UnicodeDecodeError)):
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise InputError(f"not a benchmark's CSV; its columns are {', '.join(COLUMNS)}")
            read = list(_results(rows))
    protocols = dict.fromkeys(result.protocol for result in read if result.state != "published")
    if protocol not in protocols if protocol else len(protocols) > 1:
        raise SettingsError(f"{path}: --protocol {protocol!r}{unknown(protocol, protocols)}")
    return [result for result in read if protocol in ("", result.protocol) or result.state == "published"]


def _results(rows: "csv.DictReader[str]") -> Iterator[Result]:
    for row in rows:
        if None in row or None in row.values():
            raise InputError(f"line {rows.line_num}: doesn't have {len(COLUMNS)} columns")
        if row["metric"] in ("", F1, OWN_F1) and not row["type"]:
            f1 = _share(row["value"]) if row["metric"] else None
            run = row["draw"], row["seed"]
            cell = row["system"], row["protocol"], row["target"], row["size"]
            yield Result(*cell, run, row["state"], row["metric"], f1)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"value {text!r:.80}: must be F1 between 0 and 1")
    return share


Curves = dict[str, dict[str, dict[str, Summary]]]
"""Target → system → size → F1; an observation is a draw with its seed."""


def few_labels_of(results: Iterable[Result]) -> Curves:
    """Return the curves of systems with finished cells at several sizes of a target; raise InputError if none has."""
    runs: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result.metric == F1 and result.state == "done" and result.f1 is not None:
            runs[result.target, result.system][result.size].append(result.f1)
    curves: Curves = {}
    for (target, system), sizes in runs.items():
        if len(sizes) > 1:
            curves.setdefault(target, {})[system] = {size: summary(values) for size, values in sizes.items()}
    if not curves:
        raise InputError("nothing to draw: no system has runs at several sizes of a target")
    return curves


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#7f7f7f", "#a6761d", "#000")
"""Colours that colour-blind people can distinguish (Okabe and Ito, extended); shapes differ as well."""
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "<")
_ACROSS = 3
"""Panels per row."""
_UNDATED: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_STYLE: Any = {
    "svg.hashsalt": "nerbert",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "font.family": "sans-serif",
}
Style = tuple[str, str]
"""Colour and shape."""


@contextmanager
def open_picture(output: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield a figure of a size in inches, and write it."""
    need("figures", "matplotlib", package="nerbert-bench")
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
    with open_picture(output, (max(4, side * across), 0.9 + side * rows)) as figure:
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
    return {name: (COLOURS[at % 10], _SHAPES[(at + at // 10) % 10]) for at, name in enumerate(names)}
