"""Two taggers on the same sentences: the difference of F1, and what the first one fixes, breaks and changes.

A mistake belongs to its gold entity, or to the predicted one where there is none. It is fixed if only the second tagger
makes it, broken if only the first does, and changed if both are wrong there in different ways.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nerbert.errors import InputError
from nerbert.evaluation.evaluate import Evaluation
from nerbert.evaluation.report.sentences import ScoredAnswers, SentenceList, shown
from nerbert.labels import WordSpan
from nerbert.metrics.breakdown import ScoreDifference, differences
from nerbert.metrics.judging import Mistake

Effect = Literal["broken", "changed", "fixed"]
MOST = 15
"""Sentences that are shown of each effect."""


@dataclass(frozen=True, slots=True)
class TaggerComparison:
    """A tagger against another one, the second: F1 over all and by type, entities by effect, and their sentences.

    A sentence is in the list of its worst effect: broken, changed, fixed.
    """

    name: str
    evaluation: Evaluation
    overall: ScoreDifference
    by_type: tuple[ScoreDifference, ...]
    counts: dict[Effect, int]
    sentences: dict[Effect, SentenceList]


class _Change(NamedTuple):
    """What a sentence's mistakes became: entities by effect, and the confidence of the first tagger's surest one."""

    number: int
    effects: dict[Effect, list[WordSpan]]
    sure: float

    @property
    def worst(self) -> Effect:
        return next(effect for effect, spans in self.effects.items() if spans)

    @property
    def order(self) -> tuple[int, float, int]:
        """The place in the list: most entities of its effect first, then the surest mistake."""
        return -len(self.effects[self.worst]), -self.sure, self.number


def compare(
    one: ScoredAnswers, other: ScoredAnswers, name: str, evaluation: Evaluation, most: int = MOST
) -> TaggerComparison:
    """Compare two taggers' answers; raise InputError if their sentences or words differ."""
    if [each.tokens for each in one.examples] != [each.tokens for each in other.examples]:
        raise InputError(f"{name}: cuts the texts into other words than the first tagger; give one --word-splitter, "
                         "and one --language")  # fmt: skip
    overall, *by_type = differences(one.pair, other.pair)
    changes = list(_changes(one, other))
    effects: Sequence[Effect] = ("broken", "changed", "fixed")
    sentences = dict[Effect, SentenceList]()
    for effect in effects:
        ordered = sorted((each for each in changes if each.worst == effect), key=lambda each: each.order)
        first = (shown(one, each.number, other, each.effects[effect][0]) for each in ordered[:most])
        sentences[effect] = SentenceList(tuple(first), len(ordered))
    counts = {effect: sum(len(each.effects[effect]) for each in changes) for effect in effects}
    return TaggerComparison(name, evaluation, overall, tuple(by_type), counts, sentences)


def _changes(one: ScoredAnswers, other: ScoredAnswers) -> Iterator[_Change]:
    """Yield the sentences in which the taggers make different mistakes."""
    for number, (here, there) in enumerate(zip(one.found, other.found, strict=True)):
        if here.tags == there.tags:
            continue
        mistakes, before = one.mistakes(number), {_place(each): each for each in other.mistakes(number)}
        now = {_place(each): each for each in mistakes}
        effects: dict[Effect, list[WordSpan]] = {
            "broken": [place for place in now if place not in before],
            "changed": [place for place, each in now.items() if place in before and before[place] != each],
            "fixed": [place for place in before if place not in now],
        }
        if any(effects.values()):
            wrong = [each.predicted for each in mistakes if each.predicted]
            yield _Change(number, effects, max((one.confidence(number, each) for each in wrong), default=0.0))


def _place(mistake: Mistake) -> WordSpan:
    found = mistake.gold or mistake.predicted
    if found is None:
        raise ValueError("a mistake has a gold or a predicted entity")
    return found
