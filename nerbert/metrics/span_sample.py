"""Draw found spans with known probabilities, and estimate shares from the answers on those drawn.

The draw is systematic with unequal probabilities (Madow 1949) along the spans sorted by label and confidence, so that
each label, and each part of its confidences, has its share. A label's share grows with the square root of its spans
(Bankier 1988), a span's with √(c(1 − c)) of its confidence (Neyman 1934): rare labels and uncertain spans are drawn
more often than their number says, and weights of 1 ÷ probability make up for it.

Intervals are Wilson's (1927) at an effective number of answers, so that they have a width even if all are right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nerbert.errors import InputError
from nerbert.rng import Array, uniform, uniforms

_LEAST_SPREAD = 0.2
"""The spread √(c(1 − c)) that every span has at least: confidences near 1 are often too high."""
_BELOW = 1 / 3
"""The largest share of the draw that spans below their threshold have, as long as there are enough others."""
_ROUNDING = 1e-9
_Z = 1.959964
"""Standard deviations on each side of a 95 % interval."""


class DrawnSpans(NamedTuple):
    """The places of the spans that were drawn, in the order in which to ask for them, and their probabilities."""

    places: Array
    probabilities: Array


@dataclass(frozen=True, slots=True)
class WeightedShare:
    """A share (0–1) with the bounds of its 95 % interval, estimated from so many answers."""

    share: float
    low: float
    high: float
    judged: int


def draw_spans(labels: Sequence[str], confidences: Array, kept: Array, count: int, seed: int) -> DrawnSpans:
    """Draw `count` of the spans (all, if there are no more); `kept` are those that reach their threshold.

    The order of asking is random, so the first answers alone are a sample, too.
    """
    if count < 1 or not len(labels) == len(confidences) == len(kept):
        raise InputError(f"{len(labels)} labels, {len(confidences)} confidences, {count} spans: give one for each")
    codes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)[1]
    chances = _chances(codes, confidences, kept, count)
    numbers = np.arange(len(labels))
    along = np.lexsort((uniforms(seed, "equal confidences", numbers), confidences, codes))
    ends = np.cumsum(chances[along])
    wanted = uniform(seed, "first span", "") + np.arange(round(ends[-1]) if len(ends) else 0)
    places = along[np.minimum(np.searchsorted(ends, wanted, side="right"), len(along) - 1)]
    places = places[np.argsort(uniforms(seed, "order of asking", places), kind="stable")]
    return DrawnSpans(places, chances[places])


def _chances(codes: Array, confidences: Array, kept: Array, count: int) -> Array:
    """Return each span's probability to be drawn; their sum is `count`, or the number of spans."""
    spread = np.maximum(np.sqrt(confidences * (1 - confidences)), _LEAST_SPREAD)
    sizes = spread * (np.sqrt(np.bincount(codes)) / np.bincount(codes, spread))[codes]
    most = _BELOW / (1 - _BELOW) * sizes[kept].sum()
    if (below := sizes[~kept].sum()) > most > 0:
        sizes[~kept] *= most / below
    chances = np.ones(len(sizes))
    open_ = np.ones(len(sizes), bool)
    while (left := count - np.count_nonzero(~open_)) < np.count_nonzero(open_):
        chances[open_] = left * sizes[open_] / sizes[open_].sum()
        if not (full := open_ & (chances >= 1)).any():
            break
        chances[full], open_[full] = 1.0, False
    return chances


def weighted_share(right: Array, weights: Array) -> WeightedShare | None:
    """Return the share of the weights that is right, with its interval; None without an answer.

    The variance is that of draws with replacement, linearised (Särndal et al. 1992, §5.7), which is too large rather
    than too small for this draw. The effective number of answers is the one with that variance, at most all answers;
    where all are alike it is (Σw)² ÷ Σw² (Kish 1965).
    """
    judged = len(weights)
    if not judged:
        return None
    total, yes = float(weights.sum()), np.asarray(right, float)
    share = min(1.0, float((weights * yes).sum()) / total)
    alike = total**2 / float((weights**2).sum())
    spread = float(((weights * (yes - share)) ** 2).sum()) / total**2 * judged / max(1, judged - 1)
    effective = min(judged, share * (1 - share) / spread) if spread > 0 else alike
    return WeightedShare(share, *_wilson(share, effective), judged)


def lowest_reaching(confidences: Array, right: Array, weights: Array, precision: float, least: float) -> float | None:
    """Return the lowest confidence from which on the weighted share of right answers reaches `precision` (0–1).

    One more answer counts as wrong, as in conformal risk control (Angelopoulos et al. 2024): the lowest of many
    thresholds that seem to reach it is mostly one that was lucky. `least` is returned where all spans may be kept, None
    where no threshold reaches the precision.
    """
    order = np.argsort(-confidences, kind="stable")
    sure, heavy = confidences[order], weights[order]
    total, count = np.cumsum(heavy), np.cumsum(heavy) ** 2 / np.cumsum(heavy**2)
    reached = np.cumsum(heavy * right[order]) / total * count / (count + 1)
    last_of_equals = np.append(sure[1:] < sure[:-1], True)
    good = np.flatnonzero(last_of_equals & (reached >= precision - _ROUNDING))
    if not good.size:
        return None
    return least if good[-1] == len(sure) - 1 else float(sure[good[-1]])


def _wilson(share: float, count: float) -> tuple[float, float]:
    """Return the bounds of Wilson's interval of a share of so many answers."""
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
