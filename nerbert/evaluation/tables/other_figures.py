"""Other figures of the same runs: precision, recall, other F1s, kinds of errors, types.

Means over observations, without spread: the CSV has every run. "–" where the scores don't have a figure.
"""

from collections.abc import Iterable, Iterator
from statistics import fmean

from nerbert.evaluation.tables.grid import NONE, Grid, entries, sized
from nerbert.evaluation.tables.layout import Group, Layout, by_target
from nerbert.evaluation.tables.records import ERRORS
from nerbert.evaluation.tables.scores import spread
from nerbert.terminal import percent

_FIGURES = {
    "precision": "micro.precision", "recall": "micro.recall", "macro F1": "macro.f1", "strict F1": "strict.f1",
    "span F1": "span.f1", "seen F1": "seen.f1", "unseen F1": "unseen.f1", "F1 without duplicates": "without.f1",
}  # fmt: skip
_NAMES = ("target", "trained on", "system")


def other_figures_grid(layout: Layout) -> Grid:
    """Return precision, recall, other F1s, and the interval of F1 that comes from the choice of test sentences."""
    rows = [
        (*names, *(_percent(group, metric) for metric in _FIGURES.values()), _count(group, "without.left_out"),
         NONE if (low := _percent(group, "interval.low")) == NONE else f"{low}–{_percent(group, 'interval.high')}")
        for names, group in _groups(layout)
    ]  # fmt: skip
    heads = (*_NAMES, *_FIGURES, "duplicates", "test set's interval")
    return Grid("figures", "Other figures of the same runs, in percent", entries(heads), tuple(map(entries, rows)))


def errors_grid(layout: Layout) -> Grid:
    """Return the kinds of errors, each as a share of all, and how well confidences are calibrated."""
    shares = [*(f"shares.{kind}" for kind in ERRORS), "calibration.ece"]
    rows = [(*names, _count(group, "errors"), *(_percent(group, metric) for metric in shares))
            for names, group in _groups(layout)]  # fmt: skip
    heads = (*_NAMES, "errors", *ERRORS, "ECE")
    return Grid("errors", "Kinds of errors, in percent of all errors", entries(heads), tuple(map(entries, rows)))


def type_grids(layout: Layout) -> Iterator[Grid]:
    """Yield F1 by type, a grid for each target; gold entities of episodes are those of all draws."""
    for target, row_keys in by_target(layout.row_keys).items():
        rows = []
        for row_key in row_keys:
            groups = [layout.at(row_key, column) for column in layout.columns]
            for name, gold in _types(groups).items():
                seen = [spread(group.summary("by_type.f1", name)) for group in groups]
                rows.append(entries((name, sized(row_key.size), f"{gold:,.0f}", *seen)))
        heads = ("type", "trained on", "gold entities", *map(layout.named, layout.columns))
        yield Grid("types", f"F1 by type on {target}, in percent", entries(heads), tuple(rows), names=2)


def _groups(layout: Layout) -> Iterator[tuple[tuple[str, str, str], Group]]:
    """Yield names and cells of all rows and columns that have a finished run."""
    for row_key in layout.row_keys:
        for column in layout.columns:
            if layout.at(row_key, column).done:
                yield (row_key.target, sized(row_key.size), layout.named(column)), layout.at(row_key, column)


def _percent(group: Group, metric: str) -> str:
    seen = group.observed(metric)
    return percent(fmean(seen.values())) if seen else NONE


def _count(group: Group, metric: str) -> str:
    counted = _counted(group, metric)
    return NONE if counted is None else f"{counted:,.1f}".removesuffix(".0")


def _counted(group: Group, metric: str, type_: str = "") -> float | None:
    """Return how many there are in a run; of episodes, in all draws of a seed."""
    seen = group.observed(metric, type_)
    share = len({seed for _, seed in group.done}) if group.episodes else 1
    return fmean(seen.values()) / share if seen else None


def _types(groups: Iterable[Group]) -> dict[str, float]:
    """Return every type that any run knows, with its gold entities, most first."""
    found: dict[str, float] = {}
    for group in groups:
        for name in dict.fromkeys(type_ for figures in group.done.values() for _, type_ in figures if type_):
            found[name] = max(found.get(name, 0), _counted(group, "by_type.gold", name) or 0)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
