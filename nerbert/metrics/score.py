"""Precision, recall and F1 on entities: an entity counts if its words and its type are exactly right.

There are two entry points: tags of a whole test set (`score_tags`, on columns), and spans sentence by sentence
(`score_spans`, plain Python, which takes spans that overlap too). Figures are 0–1. A figure with a zero denominator is
0, so that it can always be written and averaged; the counts say whether there was nothing to find.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nerbert.errors import InputError
from nerbert.labels import WordSpan
from nerbert.metrics.columns import Mask, Pair, pair_of

RULES = "entity F1, CoNLL script's rules on BIO"
"""What is printed beside every figure: an `I-x` that continues nothing begins an entity (seqeval's default)."""
STRICT_RULES = "entity F1, strict IOB2: an I- that continues nothing is no entity"
"""What is printed beside the stricter figures (seqeval's mode="strict", scheme=IOB2)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Entities that are right, predicted and gold; the figures follow from them."""

    right: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """Return right ÷ predicted."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Return right ÷ gold."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall."""
        return 2 * self.right / (self.predicted + self.gold) if self.right else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures (0–1)."""
        counts = {"right": self.right, "predicted": self.predicted, "gold": self.gold}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


class Macro(NamedTuple):
    """Unweighted means over the types that occur in gold or predicted (seqeval's macro), and how many they are.

    `f1` is the mean of the types' F1, not the F1 of the mean precision and recall. A type that is only predicted counts
    as 0, so one stray prediction of a rare type costs much.
    """

    precision: float
    recall: float
    f1: float
    types: int

    @classmethod
    def of(cls, counts: Sequence[Counts]) -> "Macro":
        """Return the means over the counts of all types; 0 where there are none."""
        many = max(1, len(counts))
        sums = (sum(each.precision for each in counts), sum(each.recall for each in counts), sum(e.f1 for e in counts))
        return cls(sums[0] / many, sums[1] / many, sums[2] / many, len(counts))


@dataclass(frozen=True, slots=True)
class Score(Counts):
    """Micro-averaged counts over all types, with the same for each type that occurs in gold or predicted."""

    by_type: dict[str, Counts] = field(default_factory=dict)
    rules: str = RULES

    @property
    def macro(self) -> Macro:
        """Return unweighted means over `by_type`."""
        return Macro.of(list(self.by_type.values()))

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures (0–1), over all types, as macro means and by type, with the rules of scoring."""
        by_type = {name: counts.as_json() for name, counts in self.by_type.items()}
        return Counts.as_json(self) | {"macro": self.macro._asdict(), "by_type": by_type, "rules": self.rules}


def score_tags(gold: Iterable[Iterable[str]], predicted: Iterable[Iterable[str]], *, strict: bool = False) -> Score:
    """Score BIO tags, one list a sentence; raise InputError for bad tags, or if lengths differ.

    Equal to seqeval's default; with `strict` to its mode="strict", scheme=IOB2, where an I- that continues nothing is
    no entity, but for types that begin or end in a dash: seqeval cuts the dashes off there. Where nobody has an entity,
    macro is NaN in seqeval and 0 here. `rules` says which rules.
    """
    pair = pair_of(gold, predicted)
    return score_pair(pair.strict(), STRICT_RULES) if strict else score_pair(pair)


def score_pair(pair: Pair, rules: str = RULES) -> Score:
    """Score two decoded taggings, over all types and by type."""
    right = pair.found.types[pair.found.within(pair.gold)]
    many = len(pair.types)
    columns = [np.bincount(each, minlength=many) for each in (right, pair.found.types, pair.gold.types)]
    by_number = [Counts(*row) for row in np.stack(columns, axis=1).tolist()]
    by_type = {name: counts for name, counts in zip(pair.types, by_number, strict=True) if counts != Counts()}
    return Score(right.size, pair.found.types.size, pair.gold.types.size, dict(sorted(by_type.items())), rules)


def count_where(pair: Pair, gold: Mask, found: Mask, *, typed: bool = True) -> Counts:
    """Return counts of the entities that the masks keep; masks must treat a gold entity and its equal alike."""
    right = pair.found.within(pair.gold, typed=typed) & found
    return Counts(int(right.sum()), int(found.sum()), int(gold.sum()))


def score_spans(gold: Iterable[Iterable[WordSpan]], predicted: Iterable[Iterable[WordSpan]]) -> Score:
    """Score entities `(start, end, type)`, one iterable a sentence; raise InputError if the lengths differ."""
    right, found, wanted = Counter[str](), Counter[str](), Counter[str]()
    try:
        for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
            gold_set, predicted_set = set(gold_spans), set(predicted_spans)
            right.update(type_ for _, _, type_ in gold_set & predicted_set)
            found.update(type_ for _, _, type_ in predicted_set)
            wanted.update(type_ for _, _, type_ in gold_set)
    except ValueError:
        raise InputError("gold and predicted have different numbers of sentences") from None
    by_type = {t: Counts(right[t], found[t], wanted[t]) for t in sorted(found.keys() | wanted.keys())}
    return Score(right.total(), found.total(), wanted.total(), by_type)


def collapse_types(spans: Iterable[WordSpan]) -> list[WordSpan]:
    """Return the same spans with one type, so that only boundaries count."""
    return [(start, end, "span") for start, end, _ in spans]
