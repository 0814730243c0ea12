"""Mean, spread and tests over the runs of a benchmark: pure functions on figures from 0 to 1."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, stdev
from typing import TypeVar

LEVEL = 0.95
"""Confidence level of all intervals."""
FEWEST = 3
"""Minimum observations for an interval or a test."""
_NOTHING = 1e-12
"""A smaller spread of figures (0–1) is rounding error."""

Name = TypeVar("Name", bound=Hashable)
Run = tuple[int, int]
"""(draw, seed)."""
Unit = tuple[str, ...]
"""The key of one observation: encoders, ("draw", draw), or ("run", draw, seed)."""
Sums = tuple[float, float]
"""Numbers of entities: (right, predicted + gold)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean over `n` observations with its spread; `sd` is None for one, `error` (of the mean) below three."""

    n: int
    mean: float
    sd: float | None = None
    error: float | None = None
    freedom: float = 0.0
    """Degrees of freedom of the error."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the ends of the t interval of the mean."""
        if self.error is None:
            return None
        from scipy import stats

        half = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison: the mean difference over `n` observations; `p` is None if untestable, for the reason `why`."""

    __test__ = False

    n: int
    difference: float
    p: float | None = None
    interval: tuple[float, float] | None = None
    why: str = ""


def units_of(runs: Iterable[Run], *encoders: Mapping[Run, str], by_draw: bool = False) -> dict[Run, Unit]:
    """Return the observation that each run belongs to (docs/explanation/scores.md).

    `encoders` map each system's runs to encoders, "" for an untouched backbone: runs that share an encoder are one
    observation. For episodes (`by_draw`) all seeds of a draw are one observation.
    """
    runs = sorted(runs)
    names = {run: {f"{number} {of[run]}" for number, of in enumerate(encoders) if of.get(run)} for run in runs}
    # Runs of one encoder share its random variation, so they are one observation.
    if any(names.values()):
        # An untouched backbone has none, so each of its runs is an observation.
        names = {run: names[run] or {f"run {run}"} for run in runs}
        groups: dict[str, set[str]] = {}  # name → all names connected with it
        for of_run in names.values():
            # Two systems' encoders may be linked through a third run: such chains are one group.
            joined = of_run.union(*(groups.get(name, ()) for name in of_run))
            groups |= dict.fromkeys(joined, joined)
        return {run: tuple(sorted(groups[min(of_run)])) for run, of_run in names.items()}
    seeds = Counter(draw for draw, _ in runs)
    # Each draw with several seeds: the seeds of a draw share its sentences.
    crossed = by_draw or (len(seeds) > 1 and max(seeds.values()) > 1)
    return {run: ("draw", f"{run[0]}") if crossed else ("run", *map(str, run)) for run in runs}


def observations(runs: Mapping[Run, float], units: Mapping[Run, Unit]) -> dict[Unit, float]:
    """Return the mean of each unit's runs."""
    by_unit: dict[Unit, list[float]] = defaultdict(list)
    for run, value in sorted(runs.items()):
        by_unit[units[run]].append(value)
    return {unit: fmean(values) for unit, values in by_unit.items()}


def pooled_f1(runs: Mapping[Run, Sums], units: Mapping[Run, Unit]) -> dict[Unit, float]:
    """Return one observation per unit, for episodes; their mean is the F1 of all entities together."""
    total = math.fsum(both for _, both in runs.values())
    # `fsum` doesn't depend on the order, so equal cells give equal tables.
    f1 = 2 * math.fsum(right for right, _ in runs.values()) / total if total else 0.0
    off: dict[Unit, float] = defaultdict(float)
    for run, (right, both) in sorted(runs.items()):
        # The first-order influence of a run on the pooled F1; all of them sum to 0.
        off[units[run]] += 2 * right - f1 * both
    return {unit: f1 + (difference * len(off) / total if total else 0.0) for unit, difference in off.items()}


def summary(values: Sequence[float]) -> Summary:
    """Return mean, sample standard deviation and standard error of one or more values."""
    n = len(values)
    mean = fmean(values)
    sd = stdev(values) if n > 1 else None
    return Summary(n, mean, sd, None if sd is None or n < FEWEST else sd / math.sqrt(n), n - 1)


def mean_of(parts: Sequence[Summary]) -> Summary:
    """Return the unweighted mean of independent means, the targets of a table; `n` is the sum over all parts.

    Its interval is Welch's (degrees of freedom by Satterthwaite); there is no spread if a part has none.
    """
    n = sum(part.n for part in parts)
    mean = fmean(part.mean for part in parts)
    number = len(parts)
    sds = [part.sd for part in parts if part.sd is not None]
    sd = math.hypot(*sds) / number if len(sds) == number else None
    errors = [(part.error, part.freedom) for part in parts if part.error is not None]
    # One target without a spread makes the mean's unknown, not smaller.
    if len(errors) < number:
        return Summary(n, mean, sd)
    error = math.hypot(*(error for error, _ in errors))
    below = math.fsum(error**4 / freedom for error, freedom in errors)
    # Without any spread the formula is 0 / 0.
    freedom = error**4 / below if below > 0 else math.fsum(freedom for _, freedom in errors)
    return Summary(n, mean, sd, error / number, freedom)


def together(parts: Sequence[Summary]) -> Summary:
    """Return the mean of means that may be fully dependent: sizes of one target, drawn as nested subsets.

    sd is the mean of the parts' sd, and the interval takes the fewest runs: as wide as under full dependence.
    """
    mean = fmean(part.mean for part in parts)
    n = min(part.n for part in parts)
    sds = [part.sd for part in parts if part.sd is not None]
    if len(sds) < len(parts):
        return Summary(n, mean)
    sd = fmean(sds)
    return Summary(n, mean, sd, sd / math.sqrt(n) if n >= FEWEST else None, min(part.freedom for part in parts))


def average(targets: Sequence[Sequence[Mapping[Unit, float]]], *, by_encoder: bool) -> Summary:
    """Return the unweighted mean over targets; a target is a list of rows (sizes), each with its observations.

    By encoder, an observation is an encoder's mean over all rows, if all have it; if no target has an encoder of
    another's (DAPT), they are independent. Targets and rows must not be empty.
    """
    units = [set[Unit]().union(*rows) for rows in targets]
    # Backbones, and encoders of one target each (DAPT), vary independently between targets.
    apart = len(units) > 1 and sum(map(len, units)) == len(set[Unit]().union(*units))
    if apart or not by_encoder:
        return mean_of([together([summary(list(row.values())) for row in rows]) for rows in targets])
    # Only encoders that were run everywhere can be averaged over targets first.
    shared = set[Unit].intersection(*(set(row) for rows in targets for row in rows))
    if shared:
        return summary([fmean(fmean(row[unit] for row in rows) for rows in targets) for unit in sorted(shared)])
    return Summary(0, fmean(fmean(fmean(row.values()) for row in rows) for rows in targets))


def t_test(mean: Summary) -> Test:
    """Return the two-sided t-test of a mean difference, with its interval; none for fewer than three or equal ones."""
    if mean.error is None:
        return Test(mean.n, mean.mean, why=f"{mean.n} observed, {FEWEST} needed")
    # Equal differences, as of a deterministic system: t would be infinite, or 0 / 0.
    if mean.error < _NOTHING:
        if abs(mean.mean) < _NOTHING:
            return Test(mean.n, 0.0, 1.0)
        return Test(mean.n, mean.mean, why=f"{mean.n} equal differences: no noise to test by")
    from scipy import stats

    # `sf` keeps small p, where 1 − `cdf` is rounded to 0.
    p = float(2 * stats.t.sf(abs(mean.mean) / mean.error, mean.freedom))
    return Test(mean.n, mean.mean, min(1.0, p), mean.interval)


def holm(raw: Mapping[Name, float]) -> dict[Name, float]:
    """Return Holm's correction: each p times the number of tests not yet passed, never below the previous one."""
    ranked = sorted(raw, key=lambda name: raw[name])
    corrected = (min(1.0, (len(raw) - rank) * raw[name]) for rank, name in enumerate(ranked))
    # Never below the previous one: else a larger raw p could become the smaller corrected one.
    return dict(zip(ranked, accumulate(corrected, max), strict=True))
