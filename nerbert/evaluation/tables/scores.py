"""Grids of figures: F1 of every system on every row with published figures beside it, tests, then other figures.

Every system is compared with the baseline, on each row and on all targets together, by the runs that both have;
docs/explanation/scores.md (Tests) has the families of Holm's correction.

Figures are of legal paths of tags, greedy ones beside them. A published one that may be of other sentences has a note.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from statistics import fmean
from typing import Literal

from nerbert.evaluation.benchmark.suite import Published
from nerbert.evaluation.datasets.load import find_known
from nerbert.evaluation.tables.results import (
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
from nerbert.evaluation.tables.statistics import (
    FEWEST,
    Summary,
    Test,
    Unit,
    holm,
    over_targets,
    summary,
    t_test,
    units_of,
)
from nerbert.finetuning.sampling import SizeUnit, many
from nerbert.formats.data import split_sum
from nerbert.terminal import percent

ENCODERS_FOR_STARS = 5
MORE_ENCODERS = "add seeds, and give each an encoder of its own (--encoder NAME=FOLDER, several times)"
"""What to do where encoders are too few."""
_LEVELS = (0.05, 0.01, 0.001)
Key = tuple[ColumnKey, RowKey]
"""What is compared: a column with the baseline's, on a row."""
_WHY_LENGTH = 200
_READINGS = {"0.5": "", "its own threshold": "at_own_threshold.", "dev's threshold": "best_on_dev."}
"""Readings of a zero-shot cell, and where its scores have them."""
_GRIDS = {
    "zero_shot": ("Zero-shot, in percent", {
        "F1 at 0.5": F1, "F1 at its own threshold": "at_own_threshold.f1", "its own threshold": "facts.own_threshold",
        "F1 at dev's threshold": "best_on_dev.f1", "dev's threshold": "facts.dev_threshold",
        "F1 without else types": "without_else.f1", "token F1": "token.micro_f1", "macro token F1": "token.macro_f1",
    }),
    "zero_shot_spans": (
        "Zero-shot: spans whatever their type, and the share of right spans whose type is right, in percent",
        {f"{name} at {threshold}": f"{place}{metric}" for name, metric in
         (("span F1", "span.f1"), ("type accuracy", "type_accuracy")) for threshold, place in _READINGS.items()},
    ),
    "figures": ("Other figures of the same runs, in percent", {
        "precision": "micro.precision", "recall": "micro.recall", "macro F1": "macro.f1", "strict F1": "strict.f1",
        "span F1": "span.f1", "macro token F1": "token.macro_f1", "greedy F1": "greedy.f1",
        "greedy strict F1": "greedy.strict.f1", "seen F1": "seen.f1", "unseen F1": "unseen.f1",
        "F1 without duplicates": "without.f1", "duplicates": "without.left_out",
        "CPU seconds a run": "facts.cpu_seconds", "test set's interval": "interval",
    }),
    "errors": ("Kinds of errors, in percent of all errors",
               {"errors": "errors", **{kind: f"shares.{kind}" for kind in ERRORS}, "ECE": "calibration.ece"}),
}  # fmt: skip
"""Title and metrics of each further grid. Entity F1 and token F1 are in different columns, papers' too: some seven
points lie between. The interval of F1 is that of the choice of test sentences, ECE that of users' confidences."""
_LEARNT = ("greedy F1", "greedy strict F1", "seen F1", "unseen F1")
"""Figures that are nothing of their own where nothing is learnt."""
_COUNTS = ("errors", "without.left_out", "facts.cpu_seconds", "by_type.gold")
_THRESHOLDS = ("facts.own_threshold", "facts.dev_threshold")


@dataclass(frozen=True, slots=True)
class Compared:
    """A test with its corrected p, and what keeps it from stars.

    `ahead` says on how many of the targets (of one target: observations) the system is better.
    """

    test: Test
    row_keys: tuple[RowKey, ...]
    """The row, or of all targets together those that both have."""
    ahead: tuple[int, int]
    by_encoder: bool
    fewest: int
    """Observations of the row that has fewest."""
    corrected: float | None = None

    @property
    def mark(self) -> str:
        """Stars: * below 0.05, ** below 0.01, *** below 0.001, after correction."""
        if self.corrected is None or self.no_stars:
            return ""
        return "*" * sum(self.corrected < level for level in _LEVELS)

    @property
    def no_stars(self) -> str:
        """Say why it has no stars whatever its p; "" where it may have."""
        if self.by_encoder and self.test.n < ENCODERS_FOR_STARS:
            there = f"{many(self.test.n, 'encoder')}, pre-trained or trained on a source domain"
            return f"{there}: an interval needs {FEWEST}, stars {ENCODERS_FOR_STARS}; {MORE_ENCODERS}"
        if self.fewest < FEWEST:
            return f"{many(self.fewest, 'run')} on a target: interval and stars need {FEWEST} on each"
        return ""


Tests = Mapping[Key, Compared]


def compare(layout: Layout) -> dict[Key, Compared]:
    """Return all comparisons of a suite, each corrected within its family."""
    found: dict[Key, Compared] = {}
    for column in layout.columns:
        base = ColumnKey(layout.baseline, column.protocol)
        if column == base:
            continue
        by_encoder = bool(layout.encoders[column] or layout.encoders[base])
        differences = {each: _differences(layout, column, base, each) for each in layout.row_keys}
        for place, row_keys in layout.places.items():
            rows = {each: differences[each] for each in row_keys if differences[each]}
            if place not in layout.group_means and len(by_target(rows)) > (place.target == WHOLE):
                found[column, place] = _compared(rows, by_encoder=by_encoder)
    families: dict[tuple[str, bool], dict[Key, float]] = defaultdict(dict)
    for (column, row_key), each in found.items():
        if each.test.p is not None:
            families[column.protocol, row_key.target == WHOLE][column, row_key] = each.test.p
    corrected = {key: p for family in families.values() for key, p in holm(family).items()}
    return {key: replace(each, corrected=corrected.get(key)) for key, each in found.items()}


def _differences(layout: Layout, column: ColumnKey, baseline: ColumnKey, row_key: RowKey) -> dict[Unit, float]:
    """Return system minus baseline in each independent observation that both have."""
    own, base = layout.groups[row_key, column], layout.groups[row_key, baseline]
    units = units_of(own.done.keys() & base.done.keys(), own.encoders, base.encoders, by_draw=own.episodes)
    ours, theirs = own.observed(units=units), base.observed(units=units)
    return {unit: ours[unit] - theirs[unit] for unit in ours}


def _compared(rows: Mapping[RowKey, Mapping[Unit, float]], *, by_encoder: bool) -> Compared:
    """Compare on some rows, each target with the same weight."""
    targets = [[rows[row_key] for row_key in row_keys] for row_keys in by_target(rows).values()]
    alone = list(targets[0][0].values()) if len(targets) == 1 else []
    means = alone or [fmean(fmean(row.values()) for row in each) for each in targets]
    test, ahead = t_test(over_targets(targets, by_encoder=by_encoder)), sum(mean > 0 for mean in means)
    return Compared(test, tuple(rows), (ahead, len(means)), by_encoder, min(map(len, rows.values())))


def tests_grid(layout: Layout, tests: Tests) -> Grid:
    """Return each system's difference from the baseline, with its interval and p: on single targets, then over all."""
    heads = entries("target", "trained on", "system", "difference", "95 % interval", "n", "ahead on", "p", "Holm p")
    rows = (_test_row(layout, key, tests[key]) for key in sorted(tests, key=lambda key: key[1].target == WHOLE))
    return Grid("tests", f"Differences from {layout.baseline}, in points of F1", heads, tuple(rows))


def _test_row(layout: Layout, key: Key, compared: Compared) -> Row:
    (column, place), test = key, compared.test
    there, whole = (len(by_target(row_keys)) for row_keys in (compared.row_keys, layout.places[place]))
    over = f"all {whole} targets" if there == whole else f"{there} of {whole} targets"
    why = compared.no_stars or test.why
    return entries(
        place.target or over, place.trained_on, layout.named(column), f"{100 * test.difference:+.2f}",
        f"[{100 * test.interval[0]:+.2f}, {100 * test.interval[1]:+.2f}]" if test.interval else NONE,
        many(test.n, "encoder") if compared.by_encoder else f"{test.n}",
        f"{compared.ahead[0]} of {compared.ahead[1]}",
        Entry(p_text(test.p), notes=(why,) if why else ()), p_text(compared.corrected),
    )  # fmt: skip


def p_text(p: float | None) -> str:
    """Return a p in three digits, and in more where these would be on the other side of a level than p is."""
    if p is None:
        return NONE
    texts = [f"{p:.3f}" if p >= 0.1 else f"{p:#.{digits}g}" for digits in range(3, 16)]
    sides = [p < level for level in _LEVELS]
    return next((each for each in texts if [float(each) < level for level in _LEVELS] == sides), texts[-1])


def scores_grid(layout: Layout, protocol: str, tests: Tests) -> Grid:
    """Return F1 on each target and size under a protocol, and means over the targets that all systems that ran have."""
    columns = [column for column in layout.columns if column.protocol == protocol]
    papers = [each for each in layout.suite.published
              if any(RowKey(target, each.size) in layout.places for target in each.f1)]  # fmt: skip
    systems = [Entry(column.system, notes=_few_encoders(layout, column)) for column in columns]
    heads = entries("target", "trained on", *systems, *map(_named, papers))
    shown = tuple(_row(layout, columns, papers, place, tests) for place in layout.places)
    where = f", {protocol}" if len(layout.suite.protocols) > 1 else ""
    title = f"Entity F1 on {layout.suite.split} in percent{where}: mean ± standard deviation, 95 % interval"
    title += ", greedy F1" if learns(layout.row_keys) else ""
    return Grid("scores", title, heads, shown, names=2)


def _few_encoders(layout: Layout, column: ColumnKey) -> tuple[str, ...]:
    """Return the note that says that a system has too few encoders for an interval; none where it has."""
    there = len(layout.encoders[column])
    trained = f"{column.system}: {many(there, 'encoder')}, pre-trained or trained on a source domain"
    return (f"{trained}, and an interval needs {FEWEST}; {MORE_ENCODERS}",) if 0 < there < FEWEST else ()


def _named(paper: Published) -> Entry:
    return Entry(f"{paper.name} (published)", notes=(f"{paper.name}: {paper.of}",))


def _spread(seen: Summary | None) -> str:
    """Return `59.34 ± 0.83`, or the mean alone where there is no spread."""
    if seen is None:
        return NONE
    return percent(seen.mean) if seen.sd is None else f"{percent(seen.mean)} ± {percent(seen.sd)}"


def _row(layout: Layout, columns: Sequence[ColumnKey], papers: Sequence[Published], at: RowKey, tests: Tests) -> Row:
    """Return a target's row, or that of the mean over the targets on which every column that has run has a run."""
    asked, ran = layout.places[at], [column for column in columns if column in layout.ran]
    alone = at in layout.row_keys
    row_keys = asked if alone else [each for each in asked if ran and all(layout.groups[each, c].done for c in ran)]
    groups = {column: [layout.groups[row_key, column] for row_key in row_keys] for column in columns}
    seen = {column: _mean(layout, column, row_keys) for column in columns}
    means = {column: percent(each.mean) for column, each in seen.items() if each is not None}
    ranked = len(means) > 1 and all(len(each.done) == each.wanted for column in ran for each in groups[column])
    highest = max(means.values(), key=float) if ranked else None
    shown = []
    for column, each in groups.items():
        failed = _failed(f"{layout.named(column)} on {at.target}, {at.trained_on}", each[0]) if alone else ()
        test = tests.get((column, at))
        mark = test.mark if test and test.row_keys == tuple(row_keys) else ""
        greedy = _mean(layout, column, row_keys, "greedy.f1") if learns(row_keys) else None
        shown.append(_entry(each, seen[column], greedy, mark, failed, best=means.get(column, "") == highest))
    there, whole = len(by_target(row_keys)), len(by_target(asked))
    mean = f"mean of {there} targets" if there == whole else f"mean of {there} of {whole} targets"
    mean = f"{at.target}, {mean}" if at.target else mean
    published = (_published(layout, each, each.f1, row_keys) for each in papers)
    return entries(at.target if alone else mean, at.trained_on, *shown, *published)


def _entry(
    groups: Sequence[Group], seen: Summary | None, greedy: Summary | None, mark: str, failed: tuple[str, ...], *,
    best: bool,
) -> Entry:  # fmt: skip
    if seen is None:
        return Entry("failed" if failed else NONE, notes=failed)
    done, wanted = sum(len(group.done) for group in groups), sum(group.wanted for group in groups)
    missing = "" if done == wanted else f" ({done}/{wanted})"
    below = []
    if seen.interval:  # cut at 0 and 100, beyond which no F1 lies
        below.append(f"[{percent(max(0.0, seen.interval[0]))}, {percent(min(1.0, seen.interval[1]))}]")
    if greedy:
        below.append(f"greedy {percent(greedy.mean)}")
    return Entry(f"{_spread(seen)}{missing}", ", ".join(below), mark, failed, best=best)


def _failed(where: str, group: Group) -> tuple[str, ...]:
    """Return the note that says which cells failed and why; none if none did."""
    reasons: dict[str, list[str]] = {}
    for (draw, seed), why in sorted(group.failed.items()):
        folded = " ".join(why.split())
        short = folded if len(folded) <= _WHY_LENGTH else f"{folded[:_WHY_LENGTH]}…"
        reasons.setdefault(short, []).append(f"{draw}/{seed}")
    failed = "; ".join(f"draw/seed {', '.join(runs)}: {why}" for why, runs in reasons.items())
    return (f"{where}, failed at {failed}",) if failed else ()


def _mean(layout: Layout, column: ColumnKey, row_keys: Sequence[RowKey], metric: str = F1) -> Summary | None:
    """Return the mean over targets, each once; None where a row has no run."""
    targets = [[layout.groups[row_key, column].observed(metric) for row_key in each]
               for each in by_target(row_keys).values()]  # fmt: skip
    if not targets or not all(row for rows in targets for row in rows):
        return None
    return over_targets(targets, by_encoder=bool(layout.encoders[column]))


def _published(layout: Layout, paper: Published, given: Mapping[str, float], row_keys: Sequence[RowKey]) -> Entry:
    """Return a paper's figure on a row, or its mean over several; "–" unless it has each of them, at its size."""
    known = [given[row_key.target] for row_key in row_keys if row_key.size == paper.size and row_key.target in given]
    if not known or len(known) < len(row_keys):
        return Entry()
    doubts = {target: _doubt(layout, target) for target in by_target(row_keys)}
    return Entry(f"{fmean(known):.2f}", notes=tuple(
        f"{target}: published figures are, or may be, of other sentences: {doubt}"
        for target, doubt in doubts.items() if doubt
    ))  # fmt: skip


def _doubt(layout: Layout, target: str) -> str:
    """Return why a published figure on a data set may be of other sentences; "" if nothing speaks against it."""
    known = find_known(PurePosixPath(target).as_posix())
    if known is None:
        return "not a data set that the registry knows, so whether its split is the published one isn't known"
    other = [known.file_of(split) for split, each in known.splits.items()
             if any(split_sum(files, split) not in ("", each.sha256) for files in layout.data[target])]  # fmt: skip
    differ = f"{', '.join(other)}: not as the registry knows {known.name}" if other else ""
    return "; ".join(filter(None, ("" if known.fits else known.split, differ)))


def figures_grid(layout: Layout, key: Literal["zero_shot", "zero_shot_spans", "figures", "errors"]) -> Grid:
    """Return figures of each row and column that has a finished run; zero-shot ones of those rows alone.

    There means over groups of targets come last, and papers have rows on the same targets.
    """
    (title, metrics), learnt, rows = _GRIDS[key], learns(layout.row_keys), list[Row]()
    zero_shot = key.startswith("zero_shot")
    shown = {name: metric for name, metric in metrics.items() if learnt or name not in _LEARNT}
    for at in (*layout.row_keys, *layout.group_means) if zero_shot else layout.row_keys:
        if zero_shot and (not at.size or at.unit is not SizeUnit.ZERO):
            continue
        several = layout.group_means.get(at)
        target = f"{at.target}, mean of {len(several)} targets" if several else at.target
        names = (target,) if zero_shot else (target, at.trained_on)
        for column in layout.columns:
            groups = [layout.groups[each, column] for each in layout.places[at]]
            if any(group.done for group in groups):
                rows.append(entries(*names, layout.named(column), *(_figure(groups, each) for each in shown.values())))
        for paper in layout.suite.published if key == "zero_shot" else ():
            f1s = {"F1 at 0.5": paper.f1, "token F1": paper.token_f1}
            known = {name: _published(layout, paper, given, layout.places[at]) for name, given in f1s.items()}
            if any(each.text != NONE for each in known.values()):
                rows.append(entries(target, _named(paper), *(known.get(name, NONE) for name in shown)))
    heads = entries("target", *(() if zero_shot else ("trained on",)), "system", *shown)
    return Grid(key, title, heads, tuple(rows), names=2 if zero_shot else 3)


def _figure(groups: Sequence[Group], metric: str) -> str:
    """Return a mean over targets in percent, with their number where some lack it; counts and thresholds as they are,
    and none of thresholds over targets.
    """
    if metric == "interval":
        low, high = _figure(groups, "interval.low"), _figure(groups, "interval.high")
        return low if low == NONE else f"{low}–{high}"
    means = [mean for group in groups if (mean := _mean_of(group, metric)) is not None]
    if not means or (metric in _THRESHOLDS and len(groups) > 1):
        return NONE
    if metric in _COUNTS:
        return f"{fmean(means):,.1f}".removesuffix(".0")
    whole = "" if len(means) == len(groups) else f" ({len(means)}/{len(groups)})"
    return f"{fmean(means):.2f}" if metric in _THRESHOLDS else f"{percent(fmean(means))}{whole}"


def type_grids(layout: Layout) -> Iterator[Grid]:
    """Yield F1 by type, a grid for each target; gold entities of episodes are those of all draws."""
    for target, row_keys in by_target(layout.row_keys).items():
        rows = []
        for at in row_keys:
            groups = [layout.groups[at, column] for column in layout.columns]
            for name, gold in _types(groups).items():
                seen = ([*group.observed("by_type.f1", name).values()] for group in groups)
                f1s = (_spread(summary(each) if each else None) for each in seen)
                rows.append(entries(name, at.trained_on, f"{gold:,.0f}", *f1s))
        heads = entries("type", "trained on", "gold entities", *map(layout.named, layout.columns))
        yield Grid("types", f"F1 by type on {target}, in percent", heads, tuple(rows), names=2)


def _mean_of(group: Group, metric: str, type_: str = "") -> float | None:
    """Return a mean over observations; of episodes a count is that of all draws of a seed."""
    seen = group.observed(metric, type_)
    seeds = len({seed for _, seed in group.done}) if group.episodes and metric in _COUNTS else 1
    return fmean(seen.values()) / seeds if seen else None


def _types(groups: Iterable[Group]) -> dict[str, float]:
    """Return every type that any run knows, with its gold entities, most first."""
    found: dict[str, float] = {}
    for group in groups:
        for name in dict.fromkeys(type_ for figures in group.done.values() for _, type_ in figures if type_):
            found[name] = max(found.get(name, 0), _mean_of(group, "by_type.gold", name) or 0)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
