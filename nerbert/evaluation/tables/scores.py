"""Grids of figures: F1 of every system on every row with published figures beside it, then other figures.

Figures are of legal paths of tags, greedy ones beside them. A published one that may be of other sentences has a note.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from statistics import fmean

from nerbert.evaluation.benchmark.suite import Published
from nerbert.evaluation.datasets.load import find_known
from nerbert.evaluation.tables.compare import MORE_ENCODERS, WHOLE, Tests
from nerbert.evaluation.tables.layout import (
    F1,
    ColumnKey,
    Group,
    Layout,
    RowKey,
    by_target,
    learns,
    mean_sizes,
    of_size,
    unit_of,
)
from nerbert.evaluation.tables.records import ERRORS, NONE, Entry, Grid, Notes, Row, entries, inner, number, sized
from nerbert.evaluation.tables.statistics import FEWEST, Summary, over_targets
from nerbert.finetuning.sampling import SizeUnit, many
from nerbert.formats.data import split_sum
from nerbert.terminal import percent

_WHY_LENGTH = 200
_GREEDY = "greedy.f1"
_FIGURES = {
    "precision": "micro.precision", "recall": "micro.recall", "macro F1": "macro.f1", "strict F1": "strict.f1",
    "span F1": "span.f1", "macro token F1": "token.macro_f1", "greedy F1": _GREEDY,
    "greedy strict F1": "greedy.strict.f1", "seen F1": "seen.f1", "unseen F1": "unseen.f1",
    "F1 without duplicates": "without.f1",
}  # fmt: skip
_LEARNT = (_GREEDY, "greedy.strict.f1", "seen.f1", "unseen.f1")
"""Figures that are nothing of their own where nothing is learnt."""
_NAMES = ("target", "trained on", "system")
_TOKEN, _THRESHOLD = "token.micro_f1", "facts.dev_threshold"
_ZERO_SHOT = {
    "F1 at 0.5": F1, "F1 at dev's threshold": "best_on_dev.f1", "dev's threshold": _THRESHOLD,
    "F1 without else types": "without_else.f1", "token F1": _TOKEN, "macro token F1": "token.macro_f1",
    "Familiarity": "familiarity",
}  # fmt: skip
"""Of zero-shot cells. Entity F1 and token F1 are in different columns, papers' too: some seven points lie between."""


def scores_grid(layout: Layout, protocol: str, tests: Tests, notes: Notes) -> Grid:
    """Return F1 on each target and size under a protocol, and means over the targets that all systems that ran have."""
    columns = [column for column in layout.columns if column.protocol == protocol]
    rows = {(row_key.target, row_key.size) for row_key in layout.row_keys}
    papers = [each for each in layout.suite.published if any((target, each.size) in rows for target in each.f1)]
    systems = [Entry(column.system, notes=_few_encoders(layout, column, notes)) for column in columns]
    published = [Entry(f"{each.name} (published)", notes=(number(notes, f"{each.name}: {each.of}"),))
                 for each in papers]  # fmt: skip
    heads = (*entries(("target", "trained on")), *systems, *published)
    places = [*layout.row_keys, *(RowKey(WHOLE, size) for size in mean_sizes(layout.row_keys))]
    shown = tuple(_row(layout, columns, papers, place, tests, notes) for place in places)
    where = f", {protocol}" if len(layout.protocols) > 1 else ""
    title = f"Entity F1 on {layout.suite.split} in percent{where}: mean ± standard deviation, 95 % interval"
    title += ", greedy F1" if learns(layout.row_keys) else ""
    return Grid("scores", title, heads, shown, names=2)


def _few_encoders(layout: Layout, column: ColumnKey, notes: Notes) -> tuple[int, ...]:
    """Return the number of the note that says that a system has too few encoders for an interval; none where it has."""
    there = len(layout.encoders(column))
    if not 0 < there < FEWEST:
        return ()
    told = f"{column.system}: {many(there, 'encoder')}, pre-trained or trained on a source domain"
    return (number(notes, f"{told}, and an interval needs {FEWEST}; {MORE_ENCODERS}"),)


def spread(seen: Summary | None) -> str:
    """Return `59.34 ± 0.83`, or the mean alone where there is no spread."""
    if seen is None:
        return NONE
    return percent(seen.mean) if seen.sd is None else f"{percent(seen.mean)} ± {percent(seen.sd)}"


def _row(
    layout: Layout, columns: Sequence[ColumnKey], papers: Sequence[Published], at: RowKey, tests: Tests, notes: Notes
) -> Row:
    """Return a target's row, or that of the mean over the targets on which every column that has run has a run."""
    whole, ran = at.target == WHOLE, [column for column in columns if column in layout.ran]
    asked = of_size(layout.row_keys, at.size) if whole else [at]
    row_keys = tuple(row_key for row_key in layout.shared(ran) if row_key in asked) if whole else (at,)
    groups = {column: [layout.at(row_key, column) for row_key in row_keys] for column in columns}
    seen = {column: _mean(layout, column, row_keys) for column in columns}
    best = _best(seen, complete=all(group.complete for column in ran for group in groups[column]))
    shown = []
    for column, each in groups.items():
        failed = () if whole else _failed(f"{layout.named(column)} on {at.target}, {sized(at.size)}", each[0], notes)
        test = tests.get((column, at))
        mark = test.mark if test and test.row_keys == row_keys else ""
        greedy = _mean(layout, column, row_keys, _GREEDY) if learns(row_keys) else None
        shown.append(_entry(each, seen[column], greedy, mark, failed, best=column in best))
    published = [published_entry(layout, paper, row_keys, notes) for paper in papers]
    there, number_asked = len(by_target(row_keys)), len(by_target(asked))
    mean = f"mean of {there} targets" if there == number_asked else f"mean of {there} of {number_asked} targets"
    return (*entries((mean if whole else at.target, sized(at.size))), *shown, *published)


def _entry(
    groups: Sequence[Group], seen: Summary | None, greedy: Summary | None, mark: str, failed: tuple[int, ...], *,
    best: bool,
) -> Entry:  # fmt: skip
    if seen is None:
        return Entry("failed" if failed else NONE, notes=failed)
    done, wanted = sum(len(group.done) for group in groups), sum(len(group.wanted) for group in groups)
    missing = "" if done == wanted else f" ({done}/{wanted})"
    below = []
    if seen.interval:  # cut at 0 and 100, beyond which no F1 lies
        below.append(f"[{percent(max(0.0, seen.interval[0]))}, {percent(min(1.0, seen.interval[1]))}]")
    if greedy:
        below.append(f"greedy {percent(greedy.mean)}")
    return Entry(f"{spread(seen)}{missing}", ", ".join(below), mark, failed, best=best)


def _failed(where: str, group: Group, notes: Notes) -> tuple[int, ...]:
    """Return the number of the note that says which cells failed and why; none if none did."""
    reasons: dict[str, list[str]] = {}
    for (draw, seed), why in sorted(group.failed.items()):
        folded = " ".join(why.split())
        short = folded if len(folded) <= _WHY_LENGTH else f"{folded[:_WHY_LENGTH]}…"
        reasons.setdefault(short, []).append(f"{draw}/{seed}")
    told = "; ".join(f"draw/seed {', '.join(runs)}: {why}" for why, runs in reasons.items())
    return (number(notes, f"{where}, failed at {told}"),) if told else ()


def _best(seen: Mapping[ColumnKey, Summary | None], *, complete: bool) -> set[ColumnKey]:
    """Return the columns with the highest mean, as shown; none where a run is missing or there is one column only."""
    means = {column: round(100 * each.mean, 2) for column, each in seen.items() if each is not None}
    if not complete or len(means) < 2:
        return set()
    return {column for column, mean in means.items() if mean == max(means.values())}


def _mean(layout: Layout, column: ColumnKey, row_keys: Sequence[RowKey], metric: str = F1) -> Summary | None:
    """Return the mean over targets, each once; None where a row has no run."""
    targets = [[layout.at(row_key, column).observed(metric) for row_key in each]
               for each in by_target(row_keys).values()]  # fmt: skip
    if not targets or not all(row for rows in targets for row in rows):
        return None
    return over_targets(targets, by_encoder=bool(layout.encoders(column)))


def published_entry(
    layout: Layout, paper: Published, row_keys: Sequence[RowKey], notes: Notes, *, token: bool = False
) -> Entry:
    """Return a paper's figure on a row, or its mean over several; "–" unless it has each of them, at its size."""
    given = paper.token_f1 if token else paper.f1
    known = [given.get(row_key.target) for row_key in row_keys if row_key.size == paper.size]
    figures = [each for each in known if each is not None]
    if not row_keys or len(figures) < len(row_keys):
        return Entry()
    doubts = {row_key.target: _doubt(layout, row_key.target) for row_key in row_keys}
    told = [f"{target}: published figures are, or may be, of other sentences: {doubt}"
            for target, doubt in doubts.items() if doubt]  # fmt: skip
    return Entry(f"{fmean(figures):.2f}", notes=tuple(number(notes, each) for each in told))


def _doubt(layout: Layout, target: str) -> str:
    """Return why a published figure on a data set may be of other sentences; "" if nothing speaks against it."""
    known = find_known(PurePosixPath(target).as_posix())
    if known is None:
        return "not a data set that the registry knows, so whether its split is the published one isn't known"
    done = [cell for cell in layout.done if cell.place.target == target]
    other = [
        known.file_of(split) for split, each in known.splits.items()
        if any(split_sum(inner(cell.facts, "data"), split) not in ("", each.sha256) for cell in done)
    ]  # fmt: skip
    differ = f"{', '.join(other)}: not as the registry knows {known.name}" if other else ""
    return "; ".join(filter(None, ("" if known.fits else known.split, differ)))


def zero_shot_grid(layout: Layout, notes: Notes) -> Grid:
    """Return the figures of zero-shot cells, and those of papers on the same targets; no rows where there are none."""
    row_keys = [row_key for row_key in layout.row_keys if unit_of(row_key) is SizeUnit.ZERO]
    rows = tuple(row for row_key in row_keys for row in _zero_shot_rows(layout, row_key, notes))
    named = f" (types' names embedded by {layout.suite.label_encoder})" if layout.suite.label_encoder else ""
    return Grid("zero_shot", f"Zero-shot, in percent; Familiarity{named}", entries(("target", "system", *_ZERO_SHOT)),
                rows, names=2)  # fmt: skip


def _zero_shot_rows(layout: Layout, row_key: RowKey, notes: Notes) -> Iterator[Row]:
    for column in layout.columns:
        group = layout.at(row_key, column)
        if group.done:
            shown = (_percent(group, metric) for metric in _ZERO_SHOT.values())
            yield entries((row_key.target, layout.named(column), *shown))
    for paper in layout.suite.published:
        f1, token = (published_entry(layout, paper, [row_key], notes, token=token) for token in (False, True))
        if {f1.text, token.text} != {NONE}:
            name = Entry(f"{paper.name} (published)", notes=(number(notes, f"{paper.name}: {paper.of}"),))
            known = {F1: f1, _TOKEN: token}
            yield (Entry(row_key.target), name, *(known.get(metric, Entry()) for metric in _ZERO_SHOT.values()))


def other_figures_grid(layout: Layout) -> Grid:
    """Return precision, recall, other F1s, and the interval of F1 that comes from the choice of test sentences."""
    figures = {name: metric for name, metric in _FIGURES.items() if learns(layout.row_keys) or metric not in _LEARNT}
    rows = [
        (*names, *(_percent(group, metric) for metric in figures.values()), _count(group, "without.left_out"),
         _count(group, "facts.cpu_seconds"),
         NONE if (low := _percent(group, "interval.low")) == NONE else f"{low}–{_percent(group, 'interval.high')}")
        for names, group in _groups(layout)
    ]  # fmt: skip
    heads = (*_NAMES, *figures, "duplicates", "CPU seconds a run", "test set's interval")
    return Grid("figures", "Other figures of the same runs, in percent", entries(heads), tuple(map(entries, rows)))


def errors_grid(layout: Layout) -> Grid:
    """Return the kinds of errors, each as a share of all, and how well users' confidences are calibrated."""
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
    """Return a mean in percent; a threshold as it is."""
    if not (seen := group.observed(metric)):
        return NONE
    return f"{fmean(seen.values()):.2f}" if metric == _THRESHOLD else percent(fmean(seen.values()))


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
