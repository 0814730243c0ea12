"""Precision, recall and F1 on entities: pure functions.

The rule is the CoNLL script's on BIO tags (seqeval's default): an entity counts if its words and its type are exactly
right. Figures are 0–1; a figure with a zero denominator is 0.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nerbert.errors import InputError
from nerbert.labels import WordSpan, spans_from_bio

RULES = "entity F1, CoNLL script's rules on BIO"
"""What is printed beside every figure."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Entities that are right, predicted and gold; the figures follow from them."""

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
        """Counts and figures (0–1)."""
        counts = {"right": self.right, "predicted": self.predicted, "gold": self.gold}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True)
class Score(Counts):
    """Micro-averaged counts over all types, with the same by type."""

    by_type: dict[str, Counts] = field(default_factory=dict)
    rules: str = RULES

    def as_json(self) -> dict[str, Any]:
        """Counts and figures (0–1), over all types and by type, with the rules of scoring."""
        by_type = {name: counts.as_json() for name, counts in self.by_type.items()}
        return Counts.as_json(self) | {"by_type": by_type, "rules": self.rules}


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


def score_tags(gold: Iterable[Iterable[str]], predicted: Iterable[Iterable[str]]) -> Score:
    """Score BIO tags, one list a sentence. Equal to seqeval's default; raise InputError if lengths differ."""
    gold, predicted = _lists("gold", gold), _lists("predicted", predicted)
    if len(gold) != len(predicted):
        raise InputError(f"{len(gold)} gold sentences, {len(predicted)} predicted: score the same sentences")
    for place, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise InputError(f"sentence {place}: {len(one)} gold tags, {len(other)} predicted: score the same words")
    return score_spans(map(spans_from_bio, gold), map(spans_from_bio, predicted))


def _lists(name: str, sentences: Iterable[Iterable[str]]) -> list[list[str]]:
    try:
        return [list(each) for each in sentences]
    except TypeError as error:
        raise InputError(f"{name}: must be one list of tags a sentence: {error}") from error


def collapse_types(spans: Iterable[WordSpan]) -> list[WordSpan]:
    """The same spans with one type: what is left is whether boundaries are right."""
    return [(start, end, "span") for start, end, _ in spans]
