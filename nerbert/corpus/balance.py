"""The paper's sampling (NER-BERT §2.4): the number of copies of each sentence, from its categories alone.

docs/explanation/corpus.md (Sampling) has the formulas and costs of the methods, `literal` and `fit`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, floor, fsum

import numpy as np
from numpy.typing import NDArray

from nerbert.errors import SettingsError

TOLERANCE = 1e-3
"""Fitting ends when |log(wanted / expected mentions)| is below this for every category."""
ROUNDS = 500
"""Maximum number of rounds."""
PATIENCE = 50
"""Fitting ends if the error (root mean square of those logarithms) falls by less than 1 % in this many rounds."""
_BOUND = 200.0
_ROWS = 1 << 16

Floats = NDArray[np.float64]
Multiset = tuple[str, ...]
"""The categories of a sentence's mentions, sorted."""


@dataclass(frozen=True, slots=True)
class CategorySets:
    """Multisets as sparse rows: row r has the categories `columns[starts[r]:starts[r + 1]]`, each `times` times."""

    names: tuple[str, ...]
    columns: NDArray[np.int32]
    times: NDArray[np.int32]
    starts: NDArray[np.int64]
    mentions: NDArray[np.int64]
    sentences: Floats

    def sums(self, values: Floats) -> Floats:
        """Return for each row the sum of its distinct categories' values."""
        return self._by_row(lambda part: values[self.columns[part]])

    def means(self, values: Floats) -> Floats:
        """Return for each row the mean of its mentions' values."""
        return self._by_row(lambda part: values[self.columns[part]] * self.times[part]) / self.mentions

    def by_category(self, values: Floats, *, distinct: bool = False) -> Floats:
        """Return the sum of the rows' values over the mentions of each category, or over its rows if `distinct`."""
        total = np.zeros(len(self.names))
        for rows, part in self._blocks():
            repeated = np.repeat(values[rows], np.diff(self.starts[rows], append=part.stop))
            repeated = repeated if distinct else repeated * self.times[part]
            total += np.bincount(self.columns[part], repeated, len(self.names))
        return total

    def _by_row(self, values: Callable[[slice], Floats]) -> Floats:
        blocks = [np.add.reduceat(values(part), self.starts[rows] - part.start) for rows, part in self._blocks()]
        return np.concatenate(blocks) if blocks else np.zeros(0)

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield blocks of rows with the range of their categories, which bounds the size of temporary arrays."""
        for first in range(0, len(self.starts), _ROWS):
            last = first + _ROWS
            stop = self.starts[last] if last < len(self.starts) else len(self.columns)
            yield slice(first, last), slice(int(self.starts[first]), int(stop))


def tabulate(counts: Mapping[Multiset, int]) -> CategorySets:
    """Return the nonempty multisets as arrays, sorted, so that the order of the input does not matter."""
    keys = sorted(key for key in counts if key)
    names = tuple(sorted({name for key in keys for name in key}))
    columns = {name: column for column, name in enumerate(names)}
    mentions = np.fromiter(map(len, keys), np.int64, len(keys))
    numbers = np.fromiter((columns[name] for key in keys for name in key), np.int32, int(mentions.sum()))
    starts = np.cumsum(mentions) - mentions
    # A run of equal numbers is one distinct category; a row's start begins a run even after
    # an equal number, as between the rows `(A, B)` and `(B, C)`
    first = np.ones(len(numbers), dtype=bool)
    first[1:] = numbers[1:] != numbers[:-1]
    first[starts] = True
    distinct = np.flatnonzero(first)
    return CategorySets(
        names=names,
        columns=numbers[distinct],
        times=np.diff(distinct, append=len(numbers)).astype(np.int32),
        starts=np.searchsorted(distinct, starts),
        mentions=mentions,
        sentences=np.fromiter((counts[key] for key in keys), np.float64, len(keys)),
    )


@dataclass(frozen=True, slots=True)
class Rates:
    """Expected copies of any sentence, and statistics of the draw."""

    method: str
    alpha: float
    total: float
    """Σ r over all sentences."""
    weights: dict[str, float]
    """`literal`: T · p_c / D_c; `fit`: logarithm of the category's weight."""
    exponent: float | None
    """Slope of expected mentions over mentions before sampling (see `exponent`)."""
    residual: float
    """The largest relative deviation of a category's share of expected mentions from |E|^alpha / Σ |E|^alpha."""
    worst: str
    """The category of the residual."""
    largest: float
    """The largest expected number of copies of a sentence."""
    iterations: int
    """Rounds of `fit`."""

    def expect_copies(self, categories: Iterable[str]) -> float:
        """Return r of a sentence with these categories (with repeats, in any order); unseen ones are ignored."""
        # Categories of validation need not occur among the counted train sentences
        weighted = [category for category in categories if category in self.weights]
        if not weighted:
            return 0.0
        # The two methods weight a sentence differently: by mention, or by distinct category
        if self.method == "fit":
            return exp(fsum(self.weights[category] for category in weighted) / len(weighted))
        return fsum(self.weights[category] for category in set(weighted))


def draw(counts: Mapping[Multiset, int], *, method: str, alpha: float, total: float = 0) -> Rates:
    """Return the rates for the counted sentences; expected copies sum to `total` (0: the number of sentences)."""
    table = tabulate(counts)
    total = total or float(sum(counts.values()))
    if not table.sentences.any():
        raise SettingsError("no sentence holds a category: there is nothing to draw from")
    before = table.by_category(table.sentences)
    # Divided by the largest count first, so that powers stay within 0 and 1
    powers = (before / before.max()) ** alpha
    shares = powers / powers.sum()
    iterations = 0
    if method == "fit":
        weights, iterations = fit(table, shares, total)
        copies = np.exp(table.means(weights))
    else:
        weights = total * shares / table.by_category(table.sentences, distinct=True)
        copies = table.sums(weights)
    after = table.by_category(table.sentences * copies)
    off = np.abs(after / after.sum() / shares - 1)
    return Rates(
        method=method,
        alpha=alpha,
        total=total,
        iterations=iterations,
        weights=dict(zip(table.names, weights.tolist(), strict=True)),
        exponent=_slope(before, after),
        residual=float(off.max()),
        worst=table.names[int(off.argmax())],
        largest=float(copies.max()),
    )


def exponent(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Return the least-squares slope of log `after` over log `before`, for keys in both; None if there are too few."""
    # A category without mentions, before or after, has no logarithm
    both = [name for name, count in before.items() if count > 0 and after.get(name, 0) > 0]
    return _slope(np.array([before[name] for name in both]), np.array([after[name] for name in both]))


def _slope(before: Floats, after: Floats) -> float | None:
    if len(before) < 2 or before.min() == before.max():
        return None
    x = np.log(before)
    y = np.log(after)
    x -= x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def draw_copies(expected: float, chance: float) -> int:
    """Return ⌊r⌋, or one more if `chance`, the sentence's random number, is below the fractional part."""
    copies = floor(expected)
    return copies + (chance < expected - copies)


def fit(table: CategorySets, target: Floats, total: float) -> tuple[Floats, int]:
    """Fit logarithms of weights that make mentions ∝ `target` and copies sum to `total`; return them and the rounds.

    If there are no such weights, the round with the least error counts. Logarithms within ±200 keep sums finite.
    """
    before = table.by_category(table.sentences)
    logs = np.zeros(len(before))
    best = np.zeros(len(before))
    least = np.inf
    errors = list[float]()
    for rounds in range(ROUNDS + 1):
        rough = np.exp(table.means(logs))
        scale = total / float(table.sentences @ rough)
        logs = logs + np.log(scale)
        after = table.by_category(table.sentences * (scale * rough))
        ratio = target / before
        step = np.log(before * (float(after.sum()) / float(before @ ratio) * ratio) / after)
        error = float(np.sqrt(np.mean(step**2)))
        # Rounds can get worse: if no weights fit exactly, the last round needn't be the best
        if error < least:
            best, least = logs, error
        errors.append(least)
        stuck = rounds > PATIENCE and least > 0.99 * errors[rounds - PATIENCE]
        if stuck or np.abs(step).max() < TOLERANCE:
            break
        logs = np.clip(logs + step, -_BOUND, _BOUND)
    return best, rounds
