"""Two taggers on the same sentences: the difference in F1, and the mistakes that the first fixes, makes and changes.

A mistake belongs to its gold entity, or to the predicted one where there is none. It is fixed if only the second tagger
makes it, broken if only the first does, and changed if both are wrong there in different ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nerbert.errors import InputError
from nerbert.evaluation.evaluate import Evaluation
from nerbert.evaluation.report.sentences import ScoredAnswers, SentenceList, cut_sentence
from nerbert.labels import WordSpan
from nerbert.metrics.judging import Mistake, ScoreDifference, differences

Effect = Literal["broken", "changed", "fixed"]
MOST = 15
"""Maximum sentences shown for each effect."""


@dataclass(frozen=True, slots=True)
class TaggerComparison:
    """A tagger against a second one: F1 over all and by type, entities by effect, sentences by their worst effect."""

    name: str
    evaluation: Evaluation
    overall: ScoreDifference
    by_type: tuple[ScoreDifference, ...]
    counts: dict[Effect, int]
    sentences: dict[Effect, SentenceList]


def compare(first: ScoredAnswers, second: ScoredAnswers, name: str, evaluation: Evaluation) -> TaggerComparison:
    """Compare two taggers' answers; raise InputError if their sentences or words differ."""
    # Spans count words, so other words would make every entity look changed.
    if [example.tokens for example in first.examples] != [example.tokens for example in second.examples]:
        raise InputError(
            f"{name}: cuts the texts into other words than the first tagger; give one --word-splitter, "
            "and one --language"
        )
    overall, *by_type = differences(first.pair, second.pair)
    counts: dict[Effect, int] = {"broken": 0, "changed": 0, "fixed": 0}
    lists: dict[Effect, list[tuple[int, float, int, WordSpan]]] = {effect: [] for effect in counts}
    for number, effects, sure in _changes(first, second):
        # The order of `counts`: a sentence with anything broken is worth reading first.
        worst = next(effect for effect, spans in effects.items() if spans)
        # The tuple is the key that sorts the list: most mistakes first, then the most confident.
        lists[worst].append((-len(effects[worst]), -sure, number, effects[worst][0]))
        for effect, spans in effects.items():
            counts[effect] += len(spans)
    sentences = dict[Effect, SentenceList]()
    for effect, entries in lists.items():
        cut = (cut_sentence(first, number, second, focus) for *_, number, focus in sorted(entries)[:MOST])
        sentences[effect] = SentenceList(tuple(cut), len(entries))
    return TaggerComparison(name, evaluation, overall, tuple(by_type), counts, sentences)


def _changes(first: ScoredAnswers, second: ScoredAnswers) -> Iterator[tuple[int, dict[Effect, list[WordSpan]], float]]:
    """Yield sentences with different mistakes: number, entities by effect, the highest confidence of a mistake."""
    for number, (answer, other) in enumerate(zip(first.answers, second.answers, strict=True)):
        if answer.tags == other.tags:
            continue
        mistakes = first.mistakes(number)
        others = _by_span(second.mistakes(number))
        now = _by_span(mistakes)
        effects: dict[Effect, list[WordSpan]] = {
            "broken": [span for span in now if span not in others],
            "changed": [span for span, mistake in now.items() if span in others and others[span] != mistake],
            "fixed": [span for span in others if span not in now],
        }
        if any(effects.values()):
            wrong = [mistake.predicted for mistake in mistakes if mistake.predicted]
            yield number, effects, max((first.confidence(number, span) for span in wrong), default=0.0)


def _by_span(mistakes: list[Mistake]) -> dict[WordSpan, Mistake]:
    # A mistake has at least one of them; the last value is for the type checker.
    return {mistake.gold or mistake.predicted or (0, 0, ""): mistake for mistake in mistakes}
