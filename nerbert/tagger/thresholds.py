"""How sure a tagger must be of an entity for it to be given: one bound for all types, or one by type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from nerbert.config import Bounds, check
from nerbert.errors import SettingsError, nearest


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The lowest confidence (0–1) of a type's entities; `default` is that of types not in `by_type`."""

    default: float = 0.0
    by_type: Mapping[str, float] = field(default_factory=dict)

    def leave_out(self, type_: str, confidence: float) -> bool:
        """Whether an entity is not sure enough."""
        return confidence < self.by_type.get(type_, self.default)


def thresholds_of(
    wanted: float | Mapping[str, float] | None, card: Mapping[str, Any], types: Sequence[str]
) -> Thresholds:
    """What the user wants, over what the tagger's card says; a number is for all types and leaves the card aside.

    Raise SettingsError for a bound outside 0–1, or of a type that the tagger doesn't know.
    """
    own = card.get("thresholds")
    known = dict(own) if isinstance(own, Mapping) else {}
    if wanted is None:
        return Thresholds(by_type=known)
    if not isinstance(wanted, Mapping):
        return Thresholds(_bound("thresholds", wanted))
    for type_ in wanted:
        if type_ not in types:
            raise SettingsError(
                f"thresholds: no type {type_!r}{nearest(str(type_), types)} (known: {', '.join(types)})"
            )
    return Thresholds(by_type=known | {type_: _bound(f"thresholds[{type_}]", each) for type_, each in wanted.items()})


def _bound(name: str, value: object) -> float:
    return float(check(name, value, Annotated[float, Bounds(at_least=0, at_most=1)]))
