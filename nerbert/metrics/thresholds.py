"""For each type, choose the lowest confidence at which precision reaches the requested value.

Of all thresholds that reach it the lowest is chosen, which keeps most entities. A type whose precision never reaches it
has no threshold, and all its entities are kept. Thresholds are observed confidences, so nothing is claimed about values
between them. The cost: with few entities of a type chance affects the threshold, and precision on other sentences will
be lower than here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError, SettingsError


@dataclass(frozen=True, slots=True)
class Threshold:
    """A type's threshold and its effect; `confidence` is None if no threshold reaches the precision.

    0 keeps all entities: they already are precise enough. If it is None, `kept` also counts all.
    """

    confidence: float | None
    predicted: int
    right: int
    kept: int
    kept_right: int

    @property
    def precision(self) -> float:
        """Share of right entities among the kept ones; 0 of none."""
        return self.kept_right / self.kept if self.kept else 0.0

    @property
    def recall_kept(self) -> float:
        """Share of kept entities among the right ones; 0 of none."""
        return self.kept_right / self.right if self.right else 0.0


def lowest_thresholds(
    types: Sequence[str], confidences: npt.ArrayLike, right: npt.ArrayLike, precision: float
) -> dict[str, Threshold]:
    """Return each predicted type's threshold for a precision (above 0, at most 1), sorted by type."""
    check_precision(precision)
    sure, outcomes = np.asarray(confidences, float), np.asarray(right, bool)
    if not len(types) == sure.size == outcomes.size:
        raise InputError(f"{len(types)} types, {sure.size} confidences, {outcomes.size} outcomes: give one for each")
    of_entity = np.asarray(types, object)
    found = {}
    for name in sorted(set(types)):
        own = of_entity == name
        found[name] = _lowest(sure[own], outcomes[own], precision)
    return found


def check_precision(value: float) -> float:
    """Return `value` if it is a valid target precision; else raise SettingsError."""
    if not 0 < value <= 1:
        raise SettingsError(f"precision = {value}: must be above 0 and at most 1, say 0.9")
    return value


def _lowest(sure: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], precision: float) -> Threshold:
    order = np.argsort(-sure, kind="stable")
    sure, hits = sure[order], np.cumsum(right[order])
    kept = np.arange(1, sure.size + 1)
    last_of_equals = np.append(sure[1:] < sure[:-1], True)
    reaches = np.flatnonzero(last_of_equals & (hits >= precision * kept - 1e-9))
    whole, hit = int(sure.size), int(hits[-1])
    if not reaches.size:
        return Threshold(None, whole, hit, whole, hit)
    last = int(reaches[-1])
    confidence = 0.0 if last == whole - 1 else float(sure[last])
    return Threshold(confidence, whole, hit, last + 1, int(hits[last]))
