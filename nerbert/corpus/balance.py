"""The paper's sampling (NER-BERT §2.2): categories drawn with p ∝ |E|^0.7, made a map-only step.

Drawing a category c by p and then a sentence that holds it gives sentence s the expectation
r = T · Σ p_c / D_c over its distinct categories, so that the r of all sentences sum to T (D_c: sentences that hold c).
Copies are ⌊r⌋ and one more with the probability of the rest: no state is shared, so shards can be made in any order.
The price: mention counts then follow an exponent somewhat above alpha, since categories share sentences.
"""

from collections.abc import Iterable, Mapping
from math import floor


def draw_rates(mentions: Mapping[str, int], holding: Mapping[str, int], alpha: float, total: float) -> dict[str, float]:
    """Category → T · p_c / D_c: what holding it adds to a sentence's expected copies."""
    weights = {name: count**alpha for name, count in mentions.items() if count}
    whole = sum(weights.values())
    return {name: total * weight / whole / holding[name] for name, weight in weights.items()}


def expected_copies(categories: Iterable[str], rates: Mapping[str, float]) -> float:
    """r of a sentence with these categories."""
    return sum(rates.get(name, 0.0) for name in sorted(set(categories)))


def draw_copies(expected: float, chance: float) -> int:
    """⌊r⌋, or one more if `chance`, the sentence's coin, is below the rest."""
    whole = floor(expected)
    return whole + (chance < expected - whole)
