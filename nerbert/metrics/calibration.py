"""Measure whether predicted entities are right as often as the tagger's confidence says.

Expected calibration error as in Guo et al. 2017 ("On Calibration of Modern Neural Networks", §2, equation 3): predicted
entities are put into bins of equal width by confidence, ((m − 1) / M, m / M]. The error is the mean over bins, weighted
by their entities, of |share that is right − mean confidence|. An entity's confidence is the mean probability of its
words' tags (as the tagger gives it); it is right if its boundaries and type are. Missed entities have no confidence and
are excluded: a low error says nothing about recall.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError
from nerbert.metrics.columns import Pair, check_lengths

BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error (0–1) over `bins` bins, and the number of predicted entities."""

    ece: float
    bins: int
    entities: int


def calibrate(confidences: Sequence[float], right: Sequence[bool], *, bins: int = BINS) -> Calibration:
    """Return the expected calibration error of predictions, each with its confidence (0–1) and whether it is right."""
    if bins < 1 or len(confidences) != len(right):
        raise InputError(f"{len(confidences)} confidences, {len(right)} outcomes, {bins} bins: give one for each")
    sure = np.asarray(confidences, float)
    if not ((sure >= 0) & (sure <= 1)).all():
        raise InputError(f"confidence {sure[~((sure >= 0) & (sure <= 1))][0]}: must lie between 0 and 1")
    places = np.digitize(sure, np.arange(1, bins) / bins, right=True)
    gaps = np.bincount(places, np.asarray(right, float) - sure, bins)
    return Calibration(float(np.abs(gaps).sum() / max(1, sure.size)), bins, sure.size)


def calibration_of(pair: Pair, confidences: Sequence[Sequence[float]]) -> Calibration:
    """Return the expected calibration error of predicted entities; `confidences` are one probability per word."""
    check_lengths(pair.offsets, "confidences", confidences)
    words = np.fromiter(chain(chain.from_iterable(confidences), [0.0]), float)
    _check(words, pair)
    return calibrate(_means(words, pair), pair.found.within(pair.gold).tolist())


def _means(words: npt.NDArray[np.float64], pair: Pair) -> list[float]:
    """Return the mean of each predicted entity's words; every second slice lies between an entity's ends."""
    starts, ends = pair.found.starts, pair.found.ends
    if not starts.size:
        return []
    sums = np.add.reduceat(words, np.stack([starts, ends], axis=1).ravel())[::2]
    return np.clip(sums / (ends - starts), 0.0, 1.0).tolist()  # type: ignore[no-any-return]


def _check(words: npt.NDArray[np.float64], pair: Pair) -> None:
    if (bad := np.flatnonzero(~((words >= 0) & (words <= 1)))).size:
        sentence = int(np.searchsorted(pair.offsets, bad[0], side="right")) - 1
        raise InputError(f"sentence {sentence}: confidence {words[bad[0]]}: must lie between 0 and 1")
