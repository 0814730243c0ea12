"""Grids of figures: F1 of every system on every row next to published figures, then tests and other figures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from statistics import fmean
from typing import Literal

from nerbert.data.catalogue import find_known
from nerbert.data.sampling import SizeUnit, plural
from nerbert.data.splits import split_sum
from nerbert.terminal import percent
from nerbert_bench.cells import State
from nerbert_bench.suite import Published
from nerbert_bench.tables.results import (
    ERRORS,
    F1,
    NONE,
    WHOLE,
    ColumnKey,
    Entry,
    Grid,
    Group,
    Layout,
    Row,
    RowKey,
    by_target,
    entries,
    learns,
)
from nerbert_bench.tables.statistics import FEWEST, Summary, Test, Unit, average, holm, summary, t_test, units_of

ENCODERS_FOR_STARS = 5
MORE_ENCODERS = "add seeds, and give each an encoder of its own (--encoder NAME=FOLDER, several times)"
"""Advice for too few encoders."""
_LEVELS = (0.05, 0.01, 0.001)
Key = tuple[ColumnKey, RowKey]
"""A comparison: a column against the baseline's, on a row."""
_WHY_LENGTH = 200
_READINGS = {"0.5": "", "its own threshold": "at_own_threshold.", "dev's threshold": "best_on_dev."}
"""Thresholds of a zero-shot cell → prefix of their metrics in its scores."""
_GRIDS = {
    "zero_shot": (
        "Zero-shot, in percent",
        {
            "F1 at 0.5": F1,
            "F1 at its own threshold": "at_own_threshold.f1",
            "its own threshold": "facts.own_threshold",
            "F1 at dev's threshold": "best_on_dev.f1",
            "dev's threshold": "facts.dev_threshold",
            "F1 without else types": "without_else.f1",
            "token F1": "token.micro_f1",
            "macro token F1": "token.macro_f1",
        },
    ),
    "zero_shot_spans": (
        "Zero-shot: spans whatever their type, and the share of right spans whose type is right, in percent",
        {
            f"{name} at {threshold}": f"{prefix}{metric}"
            for name, metric in (("span F1", "span.f1"), ("type accuracy", "type_accuracy"))
            for threshold, prefix in _READINGS.items()
        },
    ),
    "figures": (
        "Other figures of the same runs, in percent",
        {
            "precision": "micro.precision",
            "recall": "micro.recall",
            "macro F1": "macro.f1",
            "strict F1": "strict.f1",
            "span F1": "span.f1",
            "macro token F1": "token.macro_f1",
            "greedy F1": "greedy.f1",
            "greedy strict F1": "greedy.strict.f1",
            "seen F1": "seen.f1",
            "unseen F1": "unseen.f1",
            "F1 without duplicates": "without.f1",
            "duplicates": "without.left_out",
            "CPU seconds a run": "facts.cpu_seconds",
            "test set's interval": "interval",
        },
    ),
    "errors": (
        "Kinds of errors, in percent of all errors",
        {"errors": "errors", **{error: f"shares.{error}" for error in ERRORS}, "ECE": "calibration.ece"},
    ),
}
"""Title and metrics of each further grid. Entity F1 and token F1, papers' too, are in different columns: they
differ by about seven points. F1's interval is over the choice of test sentences; ECE is of users' confidences."""
_LEARNT = ("greedy F1", "greedy strict F1", "seen F1", "unseen F1")
"""Figures that add nothing if no row trains on its target."""
_COUNTS = ("errors", "without.left_out", "facts.cpu_seconds", "by_type.gold")
_THRESHOLDS = ("facts.own_threshold", "facts.dev_threshold")


@dataclass(frozen=True, slots=True)
class Compared:
    """A test with its corrected p; `ahead`: on how many of the targets (of one: observations) the system is better."""

    test: Test
    row_keys: tuple[RowKey, ...]
    """The row, or for all targets together the rows that both systems have."""
    ahead: tuple[int, int]
    by_encoder: bool
    fewest: int
    """Number of observations of the row with the fewest."""
    corrected: float | None = None

    @property
    def mark(self) -> str:
        """Stars: * below 0.05, ** below 0.01, *** below 0.001, after correction."""
        if self.corrected is None or self.no_stars:
            return ""
        return "*" * sum(self.corrected < level for level in _LEVELS)

    @property
    def no_stars(self) -> str:
        """The reason why it has no stars whatever its p; "" if it may have stars."""
        if self.by_encoder and (count := min(self.test.n, self.fewest)) < ENCODERS_FOR_STARS:
            return f"{_encoders(count)}: an interval needs {FEWEST}, stars {ENCODERS_FOR_STARS}; {MORE_ENCODERS}"
        if self.fewest < FEWEST:
            return f"{plural(self.fewest, 'run')} on a target: interval and stars need {FEWEST} on each"
        return ""


Tests = Mapping[Key, Compared]


def compare(layout: Layout) -> dict[Key, Compared]:
    """Return all comparisons of a suite, each corrected within its family."""
    comparisons: dict[Key, Compared] = {}
    families: dict[tuple[str, bool], dict[Key, float]] = defaultdict(dict)
    for column in layout.columns:
        base = ColumnKey(layout.baseline, column.protocol)
        if column == base:
            continue
        by_encoder = bool(layout.encoders[column] or layout.encoders[base])
        differences = {row_key: _differences(layout, column, base, row_key) for row_key in layout.row_keys}
        for at, row_keys in layout.row_groups.items():
            rows = {row_key: differences[row_key] for row_key in row_keys if differences[row_key]}
            # Means of groups aren't tested: their targets are in the mean of all already.
            if at not in layout.group_means and len(by_target(rows)) > (at.target == WHOLE):
                comparison = comparisons[column, at] = _compare_rows(rows, by_encoder=by_encoder)
                if comparison.test.p is not None:
                    # Single rows and the whole are two families: many rows must not cost the main result its star.
                    families[column.protocol, at.target == WHOLE][column, at] = comparison.test.p
    corrected = {key: p for family in families.values() for key, p in holm(family).items()}
    return {key: replace(comparison, corrected=corrected.get(key)) for key, comparison in comparisons.items()}


def _differences(layout: Layout, column: ColumnKey, baseline: ColumnKey, row_key: RowKey) -> dict[Unit, float]:
    """Return system minus baseline in each independent observation that both have."""
    system = layout.groups[row_key, column]
    base = layout.groups[row_key, baseline]
    # Only runs that both systems have can be paired.
    units = units_of(system.done.keys() & base.done.keys(), system.encoders, base.encoders, by_draw=system.episodes)
    ours = system.observe(units=units)
    theirs = base.observe(units=units)
    return {unit: ours[unit] - theirs[unit] for unit in ours}


def _compare_rows(rows: Mapping[RowKey, Mapping[Unit, float]], *, by_encoder: bool) -> Compared:
    """Compare on these rows, each target with the same weight."""
    targets = [[rows[row_key] for row_key in row_keys] for row_keys in by_target(rows).values()]
    means = [fmean(fmean(row.values()) for row in target) for target in targets]
    # A single target has no others to be ahead on, so its observations are counted.
    means = means if len(targets) > 1 else list(targets[0][0].values())
    test = t_test(average(targets, by_encoder=by_encoder))
    ahead = sum(mean > 0 for mean in means)
    return Compared(test, tuple(rows), (ahead, len(means)), by_encoder, min(map(len, rows.values())))


def tests_grid(layout: Layout, tests: Tests) -> Grid:
    """Return each system's difference from the baseline, with its interval and p: on single targets, then over all."""
    heads = entries("target", "trained on", "system", "difference", "95 % interval", "n", "ahead on", "p", "Holm p")
    rows = (_test_row(layout, key, tests[key]) for key in sorted(tests, key=lambda key: key[1].target == WHOLE))
    return Grid("tests", f"Differences from {layout.baseline}, in points of F1", heads, tuple(rows))


def _test_row(layout: Layout, key: Key, compared: Compared) -> Row:
    (column, at), test = key, compared.test
    count, total = (len(by_target(row_keys)) for row_keys in (compared.row_keys, layout.row_groups[at]))
    over = f"all {total} targets" if count == total else f"{count} of {total} targets"
    why = compared.no_stars or test.why
    return entries(
        at.target or over,
        at.trained_on,
        layout.name_of(column),
        f"{100 * test.difference:+.2f}",
        f"[{100 * test.interval[0]:+.2f}, {100 * test.interval[1]:+.2f}]" if test.interval else NONE,
        plural(test.n, "encoder") if compared.by_encoder else f"{test.n}",
        f"{compared.ahead[0]} of {compared.ahead[1]}",
        Entry(p_text(test.p), notes=(why,) if why else ()),
        p_text(compared.corrected),
    )


def p_text(p: float | None) -> str:
    """Return p in three digits, or in more if rounding would move it across a level of significance."""
    if p is None:
        return NONE
    texts = [f"{p:.3f}" if p >= 0.1 else f"{p:#.{digits}g}" for digits in range(3, 16)]
    sides = [p < level for level in _LEVELS]
    # 0.04996 must not be printed as 0.0500, which would contradict its star.
    return next((text for text in texts if [float(text) < level for level in _LEVELS] == sides), texts[-1])


def scores_grid(layout: Layout, protocol: str, tests: Tests) -> Grid:
    """Return F1 on each target and size under a protocol, and means over the targets that all systems that ran have."""
    columns = [column for column in layout.columns if column.protocol == protocol]
    papers = [
        paper
        for paper in layout.suite.published
        if any(RowKey(target, paper.size) in layout.row_groups for target in paper.f1)
    ]
    few = {column: count for column in columns if 0 < (count := len(layout.encoders[column])) < FEWEST}
    notes = {
        column: (f"{column.system}: {_encoders(count)}, and an interval needs {FEWEST}; {MORE_ENCODERS}",)
        for column, count in few.items()
    }
    systems = [Entry(column.system, notes=notes.get(column, ())) for column in columns]
    heads = entries("target", "trained on", *systems, *map(_paper_entry, papers))
    rows = tuple(_scores_row(layout, columns, papers, at, tests) for at in layout.row_groups)
    where = f", {protocol}" if len(layout.suite.protocols) > 1 else ""
    title = f"Entity F1 on {layout.suite.split} in percent{where}: mean ± standard deviation, 95 % interval"
    title += ", greedy F1" if learns(layout.row_keys) else ""
    return Grid("scores", title, heads, rows, names=2)


def _encoders(count: int) -> str:
    return f"{plural(count, 'encoder')}, pre-trained or trained on a source domain"


def _paper_entry(paper: Published) -> Entry:
    return Entry(f"{paper.name} (published)", notes=(f"{paper.name}: {paper.of}",))


def _spread(mean: Summary) -> str:
    """Return `59.34 ± 0.83`, or the mean alone if there is no spread."""
    return percent(mean.mean) if mean.sd is None else f"{percent(mean.mean)} ± {percent(mean.sd)}"


def _scores_row(
    layout: Layout, columns: Sequence[ColumnKey], papers: Sequence[Published], at: RowKey, tests: Tests
) -> Row:
    """Return a target's row, or the row of the mean over the targets on which every column that ran has a run."""
    group = layout.row_groups[at]
    # A column without cells on some target has no mean, and restricts no other's.
    ran = [c for c in columns if c in layout.ran and all(layout.groups[key, c].cells for key in group)]
    row_keys = group if at in layout.row_keys else _done_by_all(layout, ran, group)
    means = {column: mean for column in columns if (mean := _mean(layout, column, row_keys))}
    # While runs are missing, or there is nothing to compare with, no mean is the best.
    is_complete = not any(_format_done(layout, column, row_keys) for column in ran)
    highest = _highest(means.values()) if is_complete and len(means) > 1 else ""
    scores = []
    for column in columns:
        failed = _failures(layout, column, at)
        if mean := means.get(column):
            score = _score_entry(layout, column, row_keys, mean, tests.get((column, at)))
            scores.append(replace(score, notes=failed, best=percent(mean.mean) == highest))
        else:
            scores.append(Entry("failed" if failed else NONE, notes=failed))
    published = (_published_entry(layout, paper, paper.f1, row_keys) for paper in papers)
    return entries(_row_name(layout, at, row_keys), at.trained_on, *scores, *published)


def _done_by_all(layout: Layout, columns: Sequence[ColumnKey], row_keys: Sequence[RowKey]) -> list[RowKey]:
    """Return the rows on which every column has a run; none if there is no column."""
    return [key for key in row_keys if columns and all(layout.groups[key, column].done for column in columns)]


def _highest(means: Iterable[Summary]) -> str:
    """Return the highest mean, in percent: several may be equal after rounding."""
    return max((percent(mean.mean) for mean in means), key=float)


def _score_entry(
    layout: Layout, column: ColumnKey, row_keys: Sequence[RowKey], mean: Summary, test: Compared | None
) -> Entry:
    """Return a mean F1 with its stars, and its interval and greedy F1 below."""
    below = []
    # F1 can't be below 0 or above 100.
    if mean.interval:
        below.append(f"[{percent(max(0.0, mean.interval[0]))}, {percent(min(1.0, mean.interval[1]))}]")
    if greedy := learns(row_keys) and _mean(layout, column, row_keys, "greedy.f1"):
        below.append(f"greedy {percent(greedy.mean)}")
    # A test on other rows, those that the system and the baseline have, isn't of this mean.
    mark = test.mark if test and test.row_keys == tuple(row_keys) else ""
    return Entry(f"{_spread(mean)}{_format_done(layout, column, row_keys)}", ", ".join(below), mark)


def _row_name(layout: Layout, at: RowKey, row_keys: Sequence[RowKey]) -> str:
    """Return a row's target, or for a mean the number of its targets."""
    if at in layout.row_keys:
        return at.target
    number = len(by_target(row_keys))
    count = len(by_target(layout.row_groups[at]))
    name = f"mean of {number} targets" if number == count else f"mean of {number} of {count} targets"
    return f"{at.target}, {name}" if at.target else name


def _format_done(layout: Layout, column: ColumnKey, row_keys: Sequence[RowKey]) -> str:
    """Return ` (2/3)` if two of three runs are done, "" if all are."""
    groups = [layout.groups[row_key, column] for row_key in row_keys]
    done = sum(len(group.done) for group in groups)
    total = sum(len(group.cells) for group in groups)
    return "" if done == total else f" ({done}/{total})"


def _failures(layout: Layout, column: ColumnKey, row_key: RowKey) -> tuple[str, ...]:
    """Return the note on the failed cells and their reasons; empty if no cell failed, and for a mean."""
    if row_key not in layout.row_keys:
        return ()
    reasons: dict[str, list[str]] = {}
    for (draw, seed), cell in sorted(layout.groups[row_key, column].cells.items()):
        if cell.state is State.FAILED:
            why = " ".join(cell.why.split())
            short = why if len(why) <= _WHY_LENGTH else f"{why[:_WHY_LENGTH]}…"
            reasons.setdefault(short, []).append(f"{draw}/{seed}")
    failed = "; ".join(f"draw/seed {', '.join(runs)}: {why}" for why, runs in reasons.items())
    where = f"{layout.name_of(column)} on {row_key.target}, {row_key.trained_on}"
    return (f"{where}, failed at {failed}",) if failed else ()


def _mean(layout: Layout, column: ColumnKey, row_keys: Sequence[RowKey], metric: str = F1) -> Summary | None:
    """Return the mean over targets, with equal weights; None if a row has no run."""
    targets = [
        [layout.groups[row_key, column].observe(metric) for row_key in target]
        for target in by_target(row_keys).values()
    ]
    if not targets or not all(row for target in targets for row in target):
        return None
    return average(targets, by_encoder=bool(layout.encoders[column]))


def _published_entry(layout: Layout, paper: Published, f1s: Mapping[str, float], row_keys: Sequence[RowKey]) -> Entry:
    """Return a paper's figure on a row, or its mean over several; "–" unless it has figures for all, at its size."""
    published = [f1s[row_key.target] for row_key in row_keys if row_key.size == paper.size and row_key.target in f1s]
    # A mean over fewer targets than the systems' isn't comparable with theirs.
    if not published or len(published) < len(row_keys):
        return Entry()
    return Entry(
        f"{fmean(published):.2f}",
        notes=tuple(
            f"{target}: published figures are, or may be, of other sentences or types: {doubt}"
            for target in by_target(row_keys)
            if (doubt := _doubt(layout, target))
        ),
    )


def _doubt(layout: Layout, target: str) -> str:
    """Return why a published figure on a data set may be of other sentences; "" if there is no such doubt."""
    known = find_known(PurePosixPath(target).as_posix())
    if known is None:
        return "not a data set that the registry knows, so whether its split is the published one isn't known"
    other = [
        known.file_of(split)
        for split, facts in known.splits.items()
        if any(split_sum(files, split) not in ("", facts.sha256) for files in layout.data[target])
    ]
    differ = f"{', '.join(other)}: not as the registry knows {known.name}" if other else ""
    return "; ".join(filter(None, ("" if known.fits else known.split, differ)))


def figures_grid(layout: Layout, key: Literal["zero_shot", "zero_shot_spans", "figures", "errors"]) -> Grid:
    """Return figures of the rows and columns with a finished run; for zero-shot rows also means and papers' figures."""
    title, metrics = _GRIDS[key]
    rows = list[Row]()
    zero_shot = key.startswith("zero_shot")
    if not learns(layout.row_keys):
        metrics = {name: metric for name, metric in metrics.items() if name not in _LEARNT}
    for at in _zero_shot_rows(layout) if zero_shot else layout.row_keys:
        row_keys = layout.row_groups[at]
        names = [_row_name(layout, at, row_keys)]
        if not zero_shot:
            names.append(at.trained_on)
        for column in layout.columns:
            groups = [layout.groups[row_key, column] for row_key in row_keys]
            if any(group.done for group in groups):
                figures = (_figure(groups, metric) for metric in metrics.values())
                rows.append(entries(*names, layout.name_of(column), *figures))
        rows += _published_rows(layout, names, metrics.values(), row_keys)
    heads = ("target", "system") if zero_shot else ("target", "trained on", "system")
    return Grid(key, title, entries(*heads, *metrics), tuple(rows), len(heads))


def _published_rows(
    layout: Layout, names: Sequence[str], metrics: Iterable[str], row_keys: Sequence[RowKey]
) -> Iterator[Row]:
    """Yield a row for each paper that has one of the figures."""
    for paper in layout.suite.published:
        published = [_published_entry(layout, paper, paper.figures.get(metric, {}), row_keys) for metric in metrics]
        if any(entry.text != NONE for entry in published):
            yield entries(*names, _paper_entry(paper), *published)


def _zero_shot_rows(layout: Layout) -> list[RowKey]:
    """Return the rows without training, and their means; a mean over all sizes isn't one of them."""
    return [at for at in (*layout.row_keys, *layout.group_means) if at.size and at.unit is SizeUnit.ZERO]


def _figure(groups: Sequence[Group], metric: str) -> str:
    """Return a mean over targets in percent (with their number if some lack it), a count or a threshold."""
    if metric == "interval":
        # The mean of the bounds: each cell has an interval over its test sentences.
        low = _figure(groups, "interval.low")
        high = _figure(groups, "interval.high")
        return low if low == NONE else f"{low}–{high}"
    means = [mean for group in groups if (mean := _mean_of(group, metric)) is not None]
    if not means or (metric in _THRESHOLDS and len(groups) > 1):
        return NONE
    if metric in _COUNTS:
        return f"{fmean(means):,.1f}".removesuffix(".0")
    share = "" if len(means) == len(groups) else f" ({len(means)}/{len(groups)})"
    return f"{fmean(means):.2f}" if metric in _THRESHOLDS else f"{percent(fmean(means))}{share}"


def type_grids(layout: Layout) -> Iterator[Grid]:
    """Yield F1 by type, a grid for each target; for episodes, gold entities are those of all draws."""
    for target, row_keys in by_target(layout.row_keys).items():
        rows = []
        for at in row_keys:
            groups = [layout.groups[at, column] for column in layout.columns]
            for name, gold in _gold_by_type(groups).items():
                runs = ([*group.observe("by_type.f1", name).values()] for group in groups)
                f1s = (_spread(summary(f1s)) if f1s else NONE for f1s in runs)
                rows.append(entries(name, at.trained_on, f"{gold:,.0f}", *f1s))
        heads = entries("type", "trained on", "gold entities", *map(layout.name_of, layout.columns))
        yield Grid("types", f"F1 by type on {target}, in percent", heads, tuple(rows), names=2)


def _mean_of(group: Group, metric: str, type_: str = "") -> float | None:
    """Return a mean over observations; for episodes, a count is the sum over all draws of a seed."""
    values = group.observe(metric, type_).values()
    # Seeds tag the same sentences again, so counts of a test set must not be added over them.
    seeds = len({seed for _, seed in group.done}) if group.episodes and metric in _COUNTS else 1
    return fmean(values) / seeds if values else None


def _gold_by_type(groups: Iterable[Group]) -> dict[str, float]:
    """Return the types of all runs with their numbers of gold entities, most first."""
    gold: dict[str, float] = {}
    for group in groups:
        for name in {type_ for figures in group.done.values() for _, type_ in figures if type_}:
            # The largest: a system whose runs are incomplete has seen fewer of the gold entities.
            gold[name] = max(gold.get(name, 0), _mean_of(group, "by_type.gold", name) or 0)
    return dict(sorted(gold.items(), key=lambda item: (-item[1], item[0])))
