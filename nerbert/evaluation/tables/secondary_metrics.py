"""Other figures of the same runs: precision, recall, other F1s, kinds of errors, types.

Means over observations, without spread: the CSV has every run. "–" where the scores don't have a figure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean

from nerbert.evaluation.tables.grid import NONE, Entry, Grid, TableRow
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, Reader, by_target
from nerbert.evaluation.tables.pooled import Scores, figure, inner
from nerbert.evaluation.tables.scores import sized, spread
from nerbert.terminal import percent

_FIGURES = {
    "precision": "micro.precision", "recall": "micro.recall", "macro F1": "macro.f1", "strict F1": "strict.f1",
    "span F1": "span.f1", "seen F1": "seen.f1", "unseen F1": "unseen.f1", "F1 without duplicates": "without.f1",
}  # fmt: skip
_ERRORS = ("boundary", "type", "both", "missed", "spurious")
_NAMES = ("target", "trained on", "system")


def other_figures_grid(layout: Layout) -> Grid:
    """Return precision, recall, other F1s, and the interval of F1 that comes from the choice of test sentences."""
    rows = []
    for names, group in _groups(layout):
        figures = [_percent(group, partial(_known, path=path)) for path in _FIGURES.values()]
        rows.append((*names, *figures, _count(group, partial(figure, path="without.left_out")), _bootstrap(group)))
    heads = (*_NAMES, *_FIGURES, "duplicates", "test set's interval")
    return _grid("beside", "Other figures of the same runs, in percent", heads, rows)


def errors_grid(layout: Layout) -> Grid:
    """Return the kinds of errors, each as a share of all, and how well confidences are calibrated."""
    rows = []
    for names, group in _groups(layout):
        shares = [_percent(group, partial(_share, kind=kind)) for kind in _ERRORS]
        error = _percent(group, partial(figure, path="calibration.ece"))
        rows.append((*names, _count(group, _all_errors), *shares, error))
    return _grid("errors", "Kinds of errors, in percent of all errors", (*_NAMES, "errors", *_ERRORS, "ECE"), rows)


def type_grids(layout: Layout) -> Iterator[Grid]:
    """Yield F1 by type, a grid for each target; gold entities of episodes are those of all draws."""
    for target, row_keys in by_target(layout.row_keys).items():
        rows = []
        for row_key in row_keys:
            groups = {column: layout.at(row_key, column) for column in layout.columns}
            for name, gold in _types(groups).items():
                seen = [spread(group.summary(partial(_of_type, name=name))) for group in groups.values()]
                rows.append((name, sized(row_key.size), f"{gold:,}", *seen))
        heads = ("type", "trained on", "gold entities", *map(layout.named, layout.columns))
        grid = _grid("types", f"F1 by type on {target}, in percent", heads, rows)
        yield replace(grid, names=2, folded=True)


def _grid(key: str, title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Grid:
    return Grid(key, title, tuple(map(Entry, heads)), tuple(TableRow(tuple(map(Entry, row))) for row in rows), names=3)


def _groups(layout: Layout) -> Iterator[tuple[tuple[str, str, str], Group]]:
    """Yield names and cells of all rows and columns that have a finished run."""
    for row_key in layout.row_keys:
        for column in layout.columns:
            if layout.at(row_key, column).done:
                yield (row_key.target, sized(row_key.size), layout.named(column)), layout.at(row_key, column)


def _percent(group: Group, read: Reader) -> str:
    seen = group.observed(read)
    return percent(fmean(seen.values())) if seen else NONE


def _count(group: Group, read: Reader) -> str:
    """Return how many there are in a run; of episodes, in all draws of a seed."""
    seen = group.observed(read)
    share = len({seed for _, seed in group.done}) if group.episodes else 1
    return f"{fmean(seen.values()) / share:,.1f}".removesuffix(".0") if seen else NONE


def _bootstrap(group: Group) -> str:
    low, high = (_percent(group, partial(figure, path=f"interval.{end}")) for end in ("low", "high"))
    return NONE if NONE in (low, high) else f"{low}–{high}"


def _known(scores: Scores, path: str) -> float | None:
    """Return a figure; None where there was nothing to find and nothing was found (no test entity seen in train)."""
    counts = [figure(scores, f"{path.rpartition('.')[0]}.{key}") for key in ("predicted", "gold")]
    return None if counts == [0, 0] else figure(scores, path)


def _all_errors(scores: Scores) -> float | None:
    known = [figure(scores, f"errors.{kind}") for kind in _ERRORS]
    return None if None in known else sum(each or 0 for each in known)


def _share(scores: Scores, kind: str) -> float | None:
    whole, part = _all_errors(scores), figure(scores, f"errors.{kind}")
    return part / whole if whole and part is not None else None


def _of_type(scores: Scores, name: str) -> float | None:
    return figure(inner(scores, "by_type").get(name), "f1")


def _types(groups: Mapping[ColumnKey, Group]) -> dict[str, int]:
    """Return every type that any run knows, with its gold entities, most first.

    The most that a run has seen; of episodes, the most that a seed has seen in all its draws.
    """
    found: dict[str, int] = {}
    for group in groups.values():
        tests: dict[object, Counter[str]] = defaultdict(Counter)
        for run, cell in group.done.items():
            for name, counts in inner(cell.scores, "by_type").items():
                tests[run[1] if group.episodes else run][name] += int(figure(counts, "gold") or 0)
        for test in tests.values():
            found |= {name: max(found.get(name, 0), gold) for name, gold in test.items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
