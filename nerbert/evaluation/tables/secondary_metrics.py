"""What stands beside the F1 of the same runs: other figures, kinds of errors, types.

Means over observations, without spread: the CSV has every run. "–" where the scores don't have a figure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import fmean

from nerbert.evaluation.tables.grid import NONE, Column, ColumnKind, Entry, Grid, TableRow
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, Reader, by_target
from nerbert.evaluation.tables.pooled import Scores, figure, inner
from nerbert.evaluation.tables.scores import sized, spread
from nerbert.terminal import percent

_FIGURES = {
    "precision": "micro.precision", "recall": "micro.recall", "macro F1": "macro.f1", "strict F1": "strict.f1",
    "span F1": "span.f1", "seen F1": "seen.f1", "unseen F1": "unseen.f1", "F1 without twins": "without.f1",
}  # fmt: skip
_COUNTS = {"twins": "without.left_out"}
_ERRORS = ("boundary", "type", "both", "missed", "spurious")
_NAMES = tuple(Column(head, ColumnKind.NAME) for head in ("target", "trained on", "system"))


def beside_grid(board: Layout) -> Grid:
    """Precision, recall, other F1s, and how far the test sentences themselves leave the F1 open."""
    heads = (*_FIGURES, *_COUNTS, "test set's interval")
    rows = []
    for names, group in _groups(board):
        figures = [_percent(group, partial(_told, path=path)) for path in _FIGURES.values()]
        counts = [_count(group, partial(figure, path=path)) for path in _COUNTS.values()]
        rows.append(TableRow(tuple(map(Entry, (*names, *figures, *counts, _bootstrap(group))))))
    return Grid("beside", "Other figures of the same runs, in percent", (*_NAMES, *map(Column, heads)), tuple(rows))


def errors_grid(board: Layout) -> Grid:
    """What kinds of errors there are, each as a share of all, and how well confidences are calibrated."""
    heads = ("errors", *_ERRORS, "ECE")
    rows = []
    for names, group in _groups(board):
        shares = [_percent(group, partial(_share, kind=kind)) for kind in _ERRORS]
        told = (*names, _count(group, _all_errors), *shares, _percent(group, partial(figure, path="calibration.ece")))
        rows.append(TableRow(tuple(map(Entry, told))))
    return Grid("errors", "Kinds of errors, in percent of all errors", (*_NAMES, *map(Column, heads)), tuple(rows))


def type_grids(board: Layout) -> Iterator[Grid]:
    """F1 by type, a grid a target; gold entities of episodes are those of all draws."""
    for target, spots in by_target(board.spots).items():
        rows = []
        for spot in spots:
            groups = {maker: board.at(spot, maker) for maker in board.makers}
            for name, gold in _types(groups).items():
                seen = [spread(group.summary(partial(_of_type, name=name))) for group in groups.values()]
                rows.append(TableRow(tuple(map(Entry, (name, sized(spot.size), f"{gold:,}", *seen)))))
        if rows:
            names = (Column("type", ColumnKind.NAME), Column("trained on", ColumnKind.NAME), Column("gold entities"))
            columns = (*names, *(Column(board.named(maker)) for maker in board.makers))
            yield Grid("types", f"F1 by type on {target}, in percent", columns, tuple(rows), folded=True)


def _groups(board: Layout) -> Iterator[tuple[tuple[str, str, str], Group]]:
    """Names and cells of all rows and columns that have a finished run."""
    for spot in board.spots:
        for maker in board.makers:
            if board.at(spot, maker).done:
                yield (spot.target, sized(spot.size), board.named(maker)), board.at(spot, maker)


def _percent(group: Group, read: Reader) -> str:
    seen = group.observed(read)
    return percent(fmean(seen.values())) if seen else NONE


def _count(group: Group, read: Reader) -> str:
    """How many there are in a run; of episodes, in all draws of a seed."""
    seen = group.observed(read)
    share = len({seed for _, seed in group.done}) if group.episodes else 1
    return f"{fmean(seen.values()) / share:,.1f}".removesuffix(".0") if seen else NONE


def _bootstrap(group: Group) -> str:
    low, high = (_percent(group, partial(figure, path=f"interval.{end}")) for end in ("low", "high"))
    return NONE if NONE in (low, high) else f"{low}–{high}"


def _told(scores: Scores, path: str) -> float | None:
    """A figure; None where there was nothing to find and nothing was found (no test entity seen in train)."""
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
    """Every type that any run tells of, with its gold entities, most first.

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
