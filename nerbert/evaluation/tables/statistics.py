"""Mean, spread and tests over the runs of a benchmark: pure functions on figures of 0–1.

The choices, and what they cost:

*What counts as one observation.* Runs that share a draw of the training sentences aren't independent: the draw moves
them together. So where there are several draws and a draw has several seeds, a draw's runs are averaged first and the
draws are the observations (`observations`). With one draw, or draw and seed paired one to one, each run is one. With
one draw, ± says nothing of how much the choice of sentences matters.

*Episodes.* Seeds share the same episodes, so they say little of how another choice of episodes would come out. F1 is
taken of the entities of all episodes and seeds added up (`pooled_f1`), and the draws are the observations, seeds of a
draw added up too. An observation is the pooled F1 plus what the draw takes it off by, to the first order (as for any
ratio of sums), so their mean is the pooled F1 itself. The price: with few draws the interval is a little too narrow,
since F1 is a ratio; and one draw alone has none.

*One target: a paired t-test* over the observations that both systems have. Differences of mean F1 on one test set are
near enough to normal (Dror et al. 2018, "The Hitchhiker's Guide to Testing Statistical Significance in NLP", §3), and
the distribution-free tests that the guide prefers elsewhere can't speak here: with three runs no sign test or
permutation test gets below p = 2/2³ = 0.25. The price is the assumption of normality, which so few runs can't check.

*All targets: a sign-flip (permutation) test*, stratified by target: in each observation of each target the two
systems may be exchanged. Nothing is assumed of the targets: they may differ in level and in spread, as they do
(Søgaard et al. 2014, "What's in a p-value in NLP?"; Demšar 2006). Its smallest reachable p is 2/2ⁿ for n observations:
`least_p`. The same test on one mean difference a target asks the harder question, whether other targets would show it
too; with fewer than six targets it can't answer below 0.05. Up to 20 observations all signs are gone through, and p is
exact; beyond, their distribution is added up on a grid (as Zmigrod et al. 2022 do), so that no chance enters and the
result is the same each time. The price is differences rounded to 1/40,000 of the sum of all; what may be as far as
observed but for that rounding counts as far, so p is never too small, and a little too large.

*Many comparisons: Holm's step-down correction* over a family of tests: the chance of a single false alarm in it stays
below the level, whatever the tests have in common. Which tests are a family: see `compare`.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeVar

import numpy as np

from nerbert.errors import InputError, need

LEVEL = 0.95
"""Of all confidence intervals."""
FEWEST = 3
"""Observations below which nothing is tested."""
EXACT = 20
"""Observations up to which a sign-flip test goes through all signs."""
_GRID = 40_000
_NOTHING = 1e-12
"""A spread of figures (0–1) that is rounding alone."""

Name = TypeVar("Name", bound=Hashable)
Run = tuple[int, int]
"""(draw, seed)."""
Observation = tuple[str, int, int]
"""What one observation is: ("draw", draw, 0), or ("run", draw, seed)."""
Sums = tuple[float, float]
"""Of entities: (right, predicted + gold)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean with its spread. `sd` and the interval are None where one observation has none."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    freedom: float = 0.0
    """Degrees of freedom of the interval."""


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison: the mean difference over `n` observations; `p` is None where nothing can be said, `why` says so."""

    __test__ = False

    n: int
    difference: float
    p: float | None
    least_p: float = 0.0
    """Smallest p that this test can reach at this n."""
    low: float | None = None
    high: float | None = None
    why: str = ""


def observations(runs: Mapping[Run, float]) -> dict[Observation, float]:
    """Return the independent observations in these runs: means of draws, or the runs themselves.

    See the text above.
    """
    by_draw: dict[int, list[float]] = defaultdict(list)
    for (draw, _), value in sorted(runs.items()):
        by_draw[draw].append(value)
    if len(by_draw) > 1 and any(len(values) > 1 for values in by_draw.values()):
        return {("draw", draw, 0): fmean(values) for draw, values in by_draw.items()}
    return {("run", draw, seed): value for (draw, seed), value in sorted(runs.items())}


def pooled_f1(runs: Mapping[Run, Sums]) -> dict[Observation, float]:
    """Return an observation a draw, of episodes; their mean is the F1 of all entities together. See the text above."""
    whole = math.fsum(both for _, both in runs.values())
    f1 = 2 * math.fsum(right for right, _ in runs.values()) / whole if whole else 0.0
    off: dict[int, float] = defaultdict(float)
    for (draw, _), (right, both) in sorted(runs.items()):
        off[draw] += 2 * right - f1 * both
    return {("draw", draw, 0): f1 + (each * len(off) / whole if whole else 0.0) for draw, each in off.items()}


def summary(values: Sequence[float]) -> Summary:
    """Return mean, sample standard deviation and the t interval of the mean; raise InputError if there is no value."""
    if not values:
        raise InputError("no run to take the mean of: give at least one")
    mean = fmean(values)
    if len(values) == 1:
        return Summary(1, mean, None, None, None)
    sd, freedom = stdev(values), len(values) - 1
    half = t_quantile(freedom) * sd / math.sqrt(len(values))
    return Summary(len(values), mean, sd, mean - half, mean + half, freedom)


def mean_of(parts: Sequence[Summary]) -> Summary:
    """Return the mean of independent means that all count the same: targets of a table.

    Its sd is that of one round of runs, one a part; its interval is Welch's (degrees of freedom by Satterthwaite). Both
    are None where a part has a single observation. `n` is the number of parts.
    """
    if not parts:
        raise InputError("no target to take the mean over: give at least one")
    mean, number = fmean(part.mean for part in parts), len(parts)
    spreads = [(part.sd, part.n, part.freedom) for part in parts if part.sd is not None]
    if len(spreads) < number:
        return Summary(number, mean, None, None, None)
    squares = [(sd**2 / n, freedom) for sd, n, freedom in spreads]
    whole = math.fsum(square for square, _ in squares)
    below = math.fsum(square**2 / freedom for square, freedom in squares)
    freedom = whole**2 / below if below > 0 else math.fsum(each for _, each in squares)
    half = t_quantile(freedom) * math.sqrt(whole) / number
    sd = math.sqrt(math.fsum(sd**2 for sd, _, _ in spreads)) / number
    return Summary(number, mean, sd, mean - half, mean + half, freedom)


def together(parts: Sequence[Summary]) -> Summary:
    """Return the mean of means that may depend on each other wholly: sizes of one target, drawn inside each other.

    sd and interval are as wide as full dependence makes them: sd is the mean of the parts' sd, which no mean of one run
    a part exceeds, and the interval takes the fewest runs that a part has.
    """
    if len(parts) == 1:
        return parts[0]
    mean, n = fmean(part.mean for part in parts), min(part.n for part in parts)
    spreads = [part.sd for part in parts if part.sd is not None]
    if len(spreads) < len(parts):
        return Summary(n, mean, None, None, None)
    sd, freedom = fmean(spreads), min(part.freedom for part in parts)
    half = t_quantile(freedom) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half, freedom)


def paired_t(differences: Sequence[float]) -> Test:
    """Return a paired t-test, two-sided, with the interval of the difference.

    None below three pairs or where all are equal.
    """
    n = len(differences)
    if n == 0:
        return Test(0, 0.0, None, why="no pair")
    seen = summary(differences)
    if n < FEWEST:
        return Test(n, seen.mean, None, why=f"{n} {'pair' if n == 1 else 'pairs'}, {FEWEST} needed")
    if seen.sd is None or seen.sd < _NOTHING:
        if abs(seen.mean) < _NOTHING:
            return Test(n, 0.0, 1.0)
        return Test(n, seen.mean, None, why=f"{n} equal differences: no noise to test by")
    from scipy import stats

    p = float(2 * stats.t.sf(abs(seen.mean) * math.sqrt(n) / seen.sd, n - 1))
    return Test(n, seen.mean, min(1.0, p), low=seen.low, high=seen.high)


def sign_flip(parts: Sequence[float]) -> Test:
    """Return a two-sided sign-flip test of a sum: the share of all signs under which it is as far from 0 as it is.

    `parts` are what each observation gives to the difference, weights included; their sum is the difference. Exact up
    to 20 parts; beyond, p may be a little too large, never too small.
    """
    n, whole = len(parts), math.fsum(parts)
    if n < FEWEST:
        return Test(n, whole, None, why=f"{n} observations, {FEWEST} needed")
    p = _all_signs(parts) if n <= EXACT else _on_a_grid(parts)
    return Test(n, whole, p, least_p=2.0 ** (1 - n))


def _all_signs(parts: Sequence[float]) -> float:
    sums = np.zeros(1)
    for part in parts:
        sums = np.concatenate([sums + part, sums - part])
    return float(np.mean(np.abs(sums) >= abs(math.fsum(parts)) - _NOTHING))


def _on_a_grid(parts: Sequence[float]) -> float:
    """Return the sum's distribution over random signs, added up part by part on a grid of whole steps.

    Rounding moves a sum by no more than the steps' errors together, so all that is as far as observed, less that much,
    counts as far.
    """
    reach = math.fsum(map(abs, parts))
    if reach < _NOTHING:
        return 1.0
    exact = [abs(part) / reach * _GRID for part in parts]
    steps = [round(each) for each in exact]
    error = math.fsum(abs(step - each) for step, each in zip(steps, exact, strict=True))
    middle = sum(steps)
    shares = np.zeros(2 * middle + 1)
    shares[middle] = 1.0
    for step in steps:
        shares = (np.roll(shares, step) + np.roll(shares, -step)) / 2
    least = abs(math.fsum(parts)) / reach * _GRID - error - _NOTHING * _GRID
    far = np.abs(np.arange(-middle, middle + 1)) >= least
    return min(1.0, float(shares[far].sum()))


def holm(raw: Mapping[Name, float]) -> dict[Name, float]:
    """Return Holm's step-down correction.

    Each p times the number of tests not yet passed, never below the one before.
    """
    corrected: dict[Name, float] = {}
    last = 0.0
    for place, (name, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        last = max(last, min(1.0, (len(raw) - place) * p))
        corrected[name] = last
    return {name: corrected[name] for name in raw}


def t_quantile(freedom: float) -> float:
    """Return how many standard errors the interval of the mean reaches to each side."""
    need("benchmark", "scipy")
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
