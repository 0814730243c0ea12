"""The scores of several test sets as if they were one: what Few-NERD does with its episodes.

Right, predicted and gold entities are added up over all episodes and seeds, and the figures follow from the sums; a
mean of the episodes' F1 would be another figure. The price: what doesn't follow from sums is left out (bootstrap
interval, macro F1 under the strict rules).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nerbert.metrics.score import Counts, Score

Scores = Mapping[str, Any]


def figure(scores: object, path: str) -> float | None:
    """Return the number at `path` ("micro.f1"; keys may hold no dot), None if there is none."""
    for key in path.split("."):
        scores = scores.get(key) if isinstance(scores, Mapping) else None
    if isinstance(scores, bool) or not isinstance(scores, int | float) or not math.isfinite(scores):
        return None
    return scores


def pool(parts: Sequence[Scores]) -> dict[str, Any]:
    """Return one score of several, with the keys of `nerbert.metrics`; a single one stays as it is."""
    if len(parts) == 1:
        return dict(parts[0])
    names = dict.fromkeys(name for part in parts for name in inner(part, "by_type"))
    by_type = {name: _sum([inner(inner(part, "by_type"), name) for part in parts]) or Counts() for name in names}
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update({name: int(figure(part, f"errors.{name}") or 0) for name in inner(part, "errors")})
    return {
        "rules": parts[0].get("rules", ""),
        "sentences": sum(figure(part, "sentences") or 0 for part in parts),
        **{key: _counts([inner(part, key) for part in parts]) for key in ("micro", "span", "seen", "unseen")},
        "macro": Score(by_type=by_type).macro._asdict(),
        "by_type": {name: counts.as_json() for name, counts in by_type.items()},
        "strict": _counts([inner(part, "strict") for part in parts]),
        "errors": dict(errors) or None,
        "calibration": _calibration(parts),
        "without": _without([inner(part, "without") for part in parts]),
    }  # fmt: skip


def inner(scores: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return what is at a key; nothing where that holds no keys itself."""
    found = scores.get(key)
    return found if isinstance(found, Mapping) else {}


def _counts(parts: Sequence[Scores]) -> dict[str, Any] | None:
    """Return summed counts with their figures; None where no part has any."""
    found = _sum(parts)
    return None if found is None else found.as_json()


def _sum(parts: Sequence[Scores]) -> Counts | None:
    keys = ("right", "predicted", "gold")
    known = [part for part in parts if all(figure(part, key) is not None for key in keys)]
    if not known:
        return None
    right, predicted, gold = (sum(int(part[key]) for part in known) for key in keys)
    return Counts(right, predicted, gold)


def _calibration(parts: Sequence[Scores]) -> dict[str, Any] | None:
    """Return the mean calibration error, each part as heavy as its entities."""
    known = [(figure(part, "calibration.ece"), figure(part, "calibration.entities")) for part in parts]
    pairs = [(ece, entities) for ece, entities in known if ece is not None and entities]
    whole = sum(entities for _, entities in pairs)
    return {"ece": sum(ece * entities for ece, entities in pairs) / whole, "entities": whole} if whole else None


def _without(parts: Sequence[Scores]) -> dict[str, Any] | None:
    counts = _counts(parts)
    left_out = sum(int(figure(part, "left_out") or 0) for part in parts)
    return None if counts is None else {"left_out": left_out, **counts}
