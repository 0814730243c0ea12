"""Expected copies that make *mentions* follow a target, as near to drawing every sentence alike as can be.

A sentence's expectation is the geometric mean of its mentions' weights. Each round multiplies a category's weight by
wanted / expected mentions. A sentence's exponents, the shares of its mentions, sum to one, so this is generalised
iterative scaling (Darroch and Ratcliff 1972): it needs no step size, and of all expectations that reach the target it
finds those nearest to equal ones (in Kullback-Leibler divergence, counted by mention). The price: some twenty passes
over the histogram, hundreds with a tight cap, and the sentences of rare categories repeat more than in a literal draw.
"""

import numpy as np

from nerbert.corpus.histogram import CategorySets, Floats

TOLERANCE = 1e-3
"""Weights are fitted when the logarithm of wanted / expected mentions is within this for each category."""
ROUNDS = 500
"""Rounds at most."""
PATIENCE = 50
"""Rounds in which the error (root mean square of those logarithms) must fall by a hundredth, or it is the end."""
_BOUND = 200.0


def level(values: Floats, counts: Floats, total: float, cap: float) -> float:
    """λ with Σ counts · min(cap, λ · values) = total; cap 0 is none. `total` is at most cap · Σ counts.

    The λ that fits if nothing else reaches the cap only grows as more do, so the search ends, and it ends at λ itself;
    fewer at the cap than before is rounding.
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
    """`values`, none above the cap; cap 0 is none."""
    return np.minimum(values, cap) if cap else values


def fit(table: CategorySets, target: Floats, total: float, cap: float) -> tuple[Floats, int]:
    """Logarithms of the weights that make mentions proportional to `target` and copies sum to `total`; rounds taken.

    No weights may do that: a category may occur only with others, or be too rare for the cap. Then the round with the
    least error is taken, within PATIENCE and ROUNDS. Logarithms stay within ±200, which keeps all sums finite.
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
    """Mentions wanted: `target` scaled to `total`, but of no category more than cap times what there is."""
    ratio = target / before
    return before * cut(level(ratio, before, total, cap) * ratio, cap)
