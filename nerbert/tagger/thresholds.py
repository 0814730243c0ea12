"""Thresholds of types (the user's, the tagger's own, the usual one), and the settings of a tagger's answers.

The usual threshold is fitted in training, for taggers that take labels at run time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval

from nerbert.config import check
from nerbert.errors import SettingsError, unknown
from nerbert.metrics.calibration import Scaling
from nerbert.model.heads import Head


def usual_threshold(head: Head, card: Mapping[str, Any]) -> float:
    """Return the lowest confidence (0–1) of types without their own threshold: the card's, else the head's.

    A head with fixed types has none, whatever the card says.
    """
    threshold = card.get("threshold")
    return head.usual_threshold if threshold is None or not head.usual_threshold else float(threshold)


def thresholds_of(
    chosen: float | Mapping[str, float] | None,
    of_tagger: Mapping[str, float] | None,
    types: Sequence[str],
    default: float = 0.0,
) -> dict[str, float]:
    """Return the lowest confidence (0–1) of each type's entities: the user's, else `of_tagger`, else `default`.

    A number applies to all types, that of the type "" to all others. Raise SettingsError for a bound outside 0–1, or of
    a type that the tagger doesn't know.
    """
    if chosen is not None and not isinstance(chosen, Mapping):
        chosen = {"": chosen}
    by_type = dict(chosen or {})
    if "" in by_type:
        bounds = dict.fromkeys(types, _bound("thresholds", by_type.pop("")))
    else:
        bounds = dict.fromkeys(types, default) | dict(of_tagger or {})
    for type_, bound in by_type.items():
        if type_ not in types:
            raise SettingsError(f"thresholds: no type {type_!r:.80}{unknown(type_, types)}")
        bounds[type_] = _bound(f"thresholds[{type_}]", bound)
    return bounds


def check_thresholds(chosen: float | Mapping[str, float] | None, types: Iterable[str]) -> None:
    """Raise SettingsError for the bound of a type that isn't requested; a number applies to all."""
    if isinstance(chosen, Mapping):
        thresholds_of(chosen, None, list(types))


def _bound(name: str, value: object) -> float:
    return float(check(name, value, Annotated[float, Interval(ge=0, le=1)]))


def parse_thresholds(text: str | float | Mapping[str, float] | None) -> float | Mapping[str, float] | None:
    """Return the value of `--min-confidence`: a number for all types, `type=number,…`, or both; parsed ones stay."""
    if not isinstance(text, str):
        return text
    if not text:
        return None
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.rpartition("=") for part in text.split(",")]
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError:
        why = "must be a number, or type=number,type=number, or both: 0.8,type=0.5"
        raise SettingsError(f"--min-confidence {text!r}: {why}") from None


@dataclass(frozen=True, slots=True)
class Answering:
    """The settings of a tagger's answers; `thresholds` are those above 0, for some or all of its `types` (a number)."""

    backend: str
    decoding: str
    temperature: float
    bias: float
    thresholds: dict[str, float]
    types: int

    def __str__(self) -> str:
        scaling = Scaling(self.temperature, self.bias)
        return f"{self.backend}, {self.decoding or 'its own'} decoding, {scaling}, {self.bounds}"

    @property
    def bounds(self) -> str:
        """Return the thresholds in words."""
        if not self.thresholds:
            return "no thresholds"
        low = min(self.thresholds.values())
        high = max(self.thresholds.values())
        bounds = f"thresholds {low:.3f} to {high:.3f}" if low < high else f"threshold {low:.3f}"
        count = len(self.thresholds)
        return bounds if count == self.types else f"{bounds} for {count} of {self.types} types"


def answering_of(head: Head, scaling: Scaling, thresholds: Mapping[str, float], types: Sequence[str]) -> Answering:
    """Return the settings of a tagger's answers, with the thresholds of these types; 0 leaves nothing out."""
    bounds = {name: bound for name, bound in thresholds.items() if bound > 0 and name in types}
    return Answering(head.name, head.decoding, *scaling, bounds, len(types))
