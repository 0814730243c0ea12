"""Counts of entities, and the figures derived from them.

Figures are 0–1; a figure with a zero denominator is 0, so it can always be written, shown and averaged. A 0 may
therefore also mean that there was nothing to find; the counts show that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RULES = "entity F1, CoNLL script's rules on BIO"
"""Printed with every figure: an `I-x` that continues nothing begins an entity (seqeval's default)."""
STRICT_RULES = "entity F1, strict IOB2: an I- that continues nothing is no entity"
"""Printed with the strict figures (seqeval's mode="strict", scheme=IOB2)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of right, predicted and gold entities, and the figures derived from them."""

    right: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """Right ÷ predicted."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Right ÷ gold."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / (self.predicted + self.gold) if self.right else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures (0–1)."""
        counts = {"right": self.right, "predicted": self.predicted, "gold": self.gold}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


class Macro(NamedTuple):
    """Unweighted means over the types that occur in gold or predicted (seqeval's macro), and their number.

    `f1` is the mean of the types' F1, not the F1 of the mean precision and recall. A type that is only predicted counts
    as 0, so one stray prediction of a rare type costs much.
    """

    precision: float
    recall: float
    f1: float
    types: int

    @classmethod
    def of(cls, counts: Sequence[Counts]) -> "Macro":
        """Return the means over the counts of all types; 0 if there are none."""
        many = max(1, len(counts))
        sums = (sum(each.precision for each in counts), sum(each.recall for each in counts), sum(e.f1 for e in counts))
        return cls(sums[0] / many, sums[1] / many, sums[2] / many, len(counts))


@dataclass(frozen=True, slots=True)
class Score(Counts):
    """Micro-averaged counts over all types, and the counts of each type that occurs in gold or predicted."""

    by_type: dict[str, Counts] = field(default_factory=dict)
    rules: str = RULES

    @property
    def macro(self) -> Macro:
        """Unweighted means over `by_type`."""
        return Macro.of(list(self.by_type.values()))

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures (0–1) over all types, as macro means and by type, with the scoring rules."""
        by_type = {name: counts.as_json() for name, counts in self.by_type.items()}
        return Counts.as_json(self) | {"macro": self.macro._asdict(), "by_type": by_type, "rules": self.rules}
