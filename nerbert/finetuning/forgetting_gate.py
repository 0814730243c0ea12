"""Does a tagger that learnt new types still find its own? F1 lost on sentences that it wasn't trained on (ours).

The loss is that of the same sentences before and after, with a paired bootstrap over sentences. Nothing lost in a few
sentences isn't nothing lost, so the interval is of these and of one more, whose entity is lost.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.judging import Interval, bootstrap_difference, span_counts
from nerbert.metrics.score import Counts
from nerbert.model.heads import Head
from nerbert.records import Example

_LOST = np.array([[1, 1, 1]]), np.array([[0, 0, 1]])
"""Right, predicted and gold entities, before and after, of a sentence whose entity is lost."""


@dataclass(frozen=True, slots=True)
class OldTypesLoss:
    """Entity F1 (0–1) on a tagger's own types before and after it learnt others; `interval`: of the loss, 95 %.

    `most` is the loss (0–1) up to which the new tagger is kept. Without `labelled` sentences F1 is the agreement with
    the old tagger's answers.
    """

    before: float
    after: float
    interval: Interval
    sentences: int
    entities: int
    labelled: bool
    most: float

    @property
    def loss(self) -> float:
        """Return the F1 lost, 0–1; below 0 where it gained."""
        return self.before - self.after

    @property
    def verdict(self) -> Literal["passed", "not known", "failed"]:
        """Return whether the loss is surely small enough (the interval's upper bound), surely not, or not known."""
        if self.interval.high <= self.most:
            return "passed"
        return "failed" if self.interval.low > self.most else "not known"

    @property
    def more(self) -> int | None:
        """Return about how many sentences more would tell, if the loss stays; None where no number would."""
        gap = self.most - self.loss
        half = self.interval.high - self.loss if gap > 0 else self.loss - self.interval.low
        if self.verdict != "not known" or math.isclose(gap, 0, abs_tol=1e-9):
            return None
        return max(1, math.ceil(self.sentences * ((half / gap) ** 2 - 1)))

    def __str__(self) -> str:
        before, after, low, high = (f"{100 * each:.1f}" for each in (
            self.before, self.after, self.interval.low, self.interval.high))  # fmt: skip
        what = f"F1 on own types {before} before, {after} after" if self.labelled else (
            f"{after} % agreement with the old tagger's own answers (no labelled old sentences)")  # fmt: skip
        seen = f"{self.sentences:,} sentences, {self.entities:,} entities"
        lost = f"loss {100 * self.loss:.1f} points [{low}, {high}], at most {100 * self.most:g} allowed: {self.verdict}"
        tells = f"; about {self.more:,} sentences more would tell" if self.more else ""
        return f"{what}: {lost}{tells} ({seen})"

    @property
    def facts(self) -> dict[str, Any]:
        """Return it as a fact of the tagger's card."""
        return {
            "f1_before": self.before, "f1_after": self.after, "loss": [self.interval.low, self.interval.high],
            "sentences": self.sentences, "entities": self.entities, "labelled": self.labelled,
            "max_loss": self.most, "verdict": self.verdict,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForgettingGate:
    """Sentences, the own types' entities there and what the old tagger finds, to measure a new tagger by."""

    examples: Sequence[Example]
    types: Collection[str]
    gold: Sequence[Sequence[WordSpan]]
    before: Sequence[Sequence[WordSpan]]
    labelled: bool
    most: float

    @classmethod
    def of_labelled(
        cls, examples: Sequence[Example], types: Collection[str], old: Head, most: float
    ) -> "ForgettingGate":
        """Return the gate on sentences that are labelled with the own types."""
        gold, before = list(map(word_spans, examples)), old.predict(examples).word_spans(len(examples))
        return cls(examples, types, _of(types, gold), _of(types, before), True, most)

    @classmethod
    def of_answers(cls, examples: Sequence[Example], types: Collection[str], most: float) -> "ForgettingGate":
        """Return the gate on new sentences, whose entities of own types are the old tagger's answers."""
        answers = _of(types, list(map(word_spans, examples)))
        return cls(examples, types, answers, answers, False, most)

    def measure(self, head: Head) -> OldTypesLoss:
        """Return what a new tagger loses."""
        after = _of(self.types, head.predict(self.examples).word_spans(len(self.examples)))
        counts = [span_counts(self.gold, each) for each in (self.before, after)]
        interval = bootstrap_difference(*(np.vstack(each) for each in zip(counts, _LOST, strict=True)))
        one, other = (Counts(*each.sum(0).tolist()).f1 for each in counts)
        entities = sum(map(len, self.gold))
        return OldTypesLoss(one, other, interval, len(self.examples), entities, self.labelled, self.most)


def _of(types: Collection[str], spans: Sequence[Sequence[WordSpan]]) -> list[list[WordSpan]]:
    return [[span for span in each if span[2] in types] for each in spans]
