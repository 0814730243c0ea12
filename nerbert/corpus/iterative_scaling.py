"""Fit expected copies so that *mentions* follow a target, while sentences are drawn as equally as possible.

A sentence's expectation is the geometric mean of its mentions' weights. Each round multiplies a category's weight by
wanted / expected mentions. A sentence's exponents, the shares of its mentions, sum to one, so this is generalised
iterative scaling (Darroch and Ratcliff 1972). It needs no step size, and of all expectations that reach the target it
finds those nearest to equal ones (in Kullback-Leibler divergence, counted by mention). The cost: about twenty passes
over the histogram, hundreds with a tight cap, and more repeats of sentences of rare categories than in a literal draw.
"""

import numpy as np

from nerbert.corpus.histogram import CategorySets, Floats

TOLERANCE = 1e-3
"""Fitting ends when the logarithm of wanted / expected mentions is within this for each category."""
ROUNDS = 500
"""Maximum number of rounds."""
PATIENCE = 50
"""Fitting ends if the error (root mean square of those logarithms) falls by less than 1 % in this many rounds."""
_BOUND = 200.0


def level(values: Floats, counts: Floats, total: float, cap: float) -> float:
    """Return λ with Σ counts · min(cap, λ · values) = total; cap 0 is none. `total` is at most cap · Σ counts.

    The search solves for λ with the capped values fixed. λ only grows as more values reach the cap, so the search ends,
    and at the right λ. Fewer capped values than before are due to rounding.
    """
    found, capped = total / float(counts @ values), 0
    while cap:
        over = values * found > cap
        rest = float(counts[~over] @ values[~over])
        if int(over.sum()) <= capped or rest == 0:
            break
        capped = int(over.sum())
        found = (total - cap * float(counts[over].sum())) / rest
    return found


def cut(values: Floats, cap: float) -> Floats:
    """Return `values`, none above the cap; cap 0 is none."""
    return np.minimum(values, cap) if cap else values


def fit(table: CategorySets, target: Floats, total: float, cap: float) -> tuple[Floats, int]:
    """Fit logarithms of weights that make mentions ∝ `target` and copies sum to `total`; return them and the rounds.

    Such weights may not exist: a category may occur only with others, or be too rare for the cap. Then the round with
    the least error is used, within PATIENCE and ROUNDS. Logarithms stay within ±200, which keeps all sums finite.
    """
    before = table.by_category(table.sentences)
    logs, best, least, errors = np.zeros(len(before)), np.zeros(len(before)), np.inf, list[float]()
    for rounds in range(ROUNDS + 1):
        rough = np.exp(table.means(logs))
        scale = level(rough, table.sentences, total, cap)
        logs = logs + np.log(scale)
        after = table.by_category(table.sentences * cut(scale * rough, cap))
        step = np.log(_within_reach(target, before, float(after.sum()), cap) / after)
        error = float(np.sqrt(np.mean(step**2)))
        if error < least:
            best, least = logs, error
        errors.append(least)
        stuck = rounds > PATIENCE and least > 0.99 * errors[rounds - PATIENCE]
        if stuck or np.abs(step).max() < TOLERANCE:
            break
        logs = np.clip(logs + step, -_BOUND, _BOUND)
    return best, rounds


def _within_reach(target: Floats, before: Floats, total: float, cap: float) -> Floats:
    """Return the wanted mentions: `target` scaled to `total`, each at most cap times those that exist."""
    ratio = target / before
    return before * cut(level(ratio, before, total, cap) * ratio, cap)
