"""Two taggers on the same sentences: the difference of F1, and what the first one fixes, breaks and changes.

A mistake belongs to its gold entity, or to the predicted one where there is none. It is fixed if only the second tagger
makes it, broken if only the first does, and changed if both are wrong there in different ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nerbert.errors import InputError
from nerbert.evaluation.evaluate import Evaluation
from nerbert.evaluation.report.sentences import ScoredAnswers, SentenceList, shown
from nerbert.labels import WordSpan
from nerbert.metrics.judging import Mistake, ScoreDifference, differences

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


def compare(
    one: ScoredAnswers, other: ScoredAnswers, name: str, evaluation: Evaluation, most: int = MOST
) -> TaggerComparison:
    """Compare two taggers' answers; raise InputError if their sentences or words differ."""
    if [each.tokens for each in one.examples] != [each.tokens for each in other.examples]:
        raise InputError(f"{name}: cuts the texts into other words than the first tagger; give one --word-splitter, "
                         "and one --language")  # fmt: skip
    overall, *by_type = differences(one.pair, other.pair)
    counts: dict[Effect, int] = {"broken": 0, "changed": 0, "fixed": 0}
    lists: dict[Effect, list[tuple[int, float, int, WordSpan]]] = {effect: [] for effect in counts}
    for number, effects, sure in _changes(one, other):
        worst = next(effect for effect, spans in effects.items() if spans)
        lists[worst].append((-len(effects[worst]), -sure, number, effects[worst][0]))  # its place in the list
        for effect, spans in effects.items():
            counts[effect] += len(spans)
    sentences = {
        effect: SentenceList(tuple(shown(one, each[2], other, each[3]) for each in sorted(listed)[:most]), len(listed))
        for effect, listed in lists.items()
    }
    return TaggerComparison(name, evaluation, overall, tuple(by_type), counts, sentences)


def _changes(one: ScoredAnswers, other: ScoredAnswers) -> Iterator[tuple[int, dict[Effect, list[WordSpan]], float]]:
    """Yield the sentences in which the taggers make different mistakes: number, entities by effect, the worst first,
    and the confidence of the first tagger's surest mistake.
    """
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
            yield number, effects, max((one.confidence(number, each) for each in wrong), default=0.0)


def _place(mistake: Mistake) -> WordSpan:
    found = mistake.gold or mistake.predicted
    if found is None:
        raise ValueError("a mistake has a gold or a predicted entity")
    return found
