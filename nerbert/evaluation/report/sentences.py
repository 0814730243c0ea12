"""Sentences that show a tagger's mistakes, cut to a bounded length, worst first: confident mistakes mislead most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerbert.evaluation.evaluate import Scored
from nerbert.labels import WordSpan, example_tags, spans_from_bio, word_spans
from nerbert.metrics.calibration import entity_confidences
from nerbert.metrics.judging import Mistake, MistakeKind, find_mistakes
from nerbert.metrics.score import Mask, Pair, pair_of
from nerbert.model.heads import WordTags
from nerbert.records import Example

ROOM = 400
"""Maximum characters shown of a sentence."""
_BEFORE = 130
"""Characters shown before a mistake if a sentence is cut."""
WORST, MISSED = 30, 10
"""Maximum sentences shown: with a wrong entity, and with missed entities only."""


@dataclass(frozen=True, slots=True)
class ScoredAnswers:
    """A tagger's answers for gold sentences; `confidences` and `right` belong to the predicted entities of `pair`."""

    examples: Sequence[Example]
    answers: Sequence[WordTags]
    pair: Pair
    confidences: Sequence[float]
    right: Mask

    @classmethod
    def of(cls, scored: Scored) -> "ScoredAnswers":
        """Decode the answers that `evaluate` scored."""
        examples, answers = scored.gold.examples, scored.answers
        pair = pair_of([example_tags(example) for example in examples], [answer.tags for answer in answers])
        confidences = entity_confidences(pair, [answer.confidences for answer in answers])
        return cls(examples, answers, pair, confidences, pair.predicted.within(pair.gold))

    def spans(self, number: int) -> tuple[list[WordSpan], list[WordSpan]]:
        """Return the gold and the predicted entities of a sentence."""
        return word_spans(self.examples[number]), spans_from_bio(self.answers[number].tags)

    def confidence(self, number: int, span: WordSpan) -> float:
        """Return the confidence (0–1) of a predicted entity: the mean over its words."""
        words = self.answers[number].confidences[span[0] : span[1]]
        return sum(words) / len(words)

    def mistakes(self, number: int) -> list[Mistake]:
        """Return the mistakes in a sentence, the most confident wrong entity first, missed entities last."""

        def doubt(mistake: Mistake) -> float:
            return -self.confidence(number, mistake.predicted) if mistake.predicted else 1.0

        return sorted(find_mistakes(*self.spans(number)), key=doubt)


@dataclass(frozen=True, slots=True)
class ShownEntity:
    """An entity in the shown text (offsets in characters); `mistake` is its kind, None if both sides agree."""

    start: int
    end: int
    type: str
    mistake: MistakeKind | None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """A sentence (`number` counts from 1), or the part around its worst mistake, with the entities there.

    `begins`, `ends`: True if the text is complete at that side; `other`: entities of a second tagger.
    """

    number: int
    text: str
    begins: bool
    ends: bool
    gold: tuple[ShownEntity, ...]
    predicted: tuple[ShownEntity, ...]
    other: tuple[ShownEntity, ...] | None = None


@dataclass(frozen=True, slots=True)
class SentenceList:
    """The first of `total` sentences."""

    sentences: tuple[ShownSentence, ...]
    total: int

    @property
    def left_out(self) -> int:
        """The number of sentences that are not shown."""
        return self.total - len(self.sentences)


def worst_sentences(answers: ScoredAnswers, most: int = WORST) -> SentenceList:
    """Return the sentences with a wrong entity, ordered by the most confident one."""
    wrong = answers.pair.predicted.where(~answers.right)
    sentences = answers.pair.sentence_of(wrong)
    sure = np.asarray(answers.confidences, float)[~answers.right]
    # A sentence with several wrong entities is listed once, at its most confident one.
    ordered = list(dict.fromkeys(sentences[np.lexsort((sentences, -sure))].tolist()))
    return SentenceList(tuple(cut_sentence(answers, number) for number in ordered[:most]), len(ordered))


def missed_sentences(answers: ScoredAnswers) -> SentenceList:
    """Return the sentences in which entities were missed and nothing else is wrong, most missed ones first."""
    pair = answers.pair
    missed = pair.sentence_of(pair.gold.where(~pair.gold.within(pair.predicted)))
    numbers, counts = np.unique(missed, return_counts=True)
    # Sentences with wrong entities are in the other list already.
    only = ~np.isin(numbers, pair.sentence_of(pair.predicted.where(~answers.right)))
    numbers = numbers[only][np.argsort(-counts[only], kind="stable")]
    return SentenceList(tuple(cut_sentence(answers, number) for number in numbers[:MISSED].tolist()), len(numbers))


def cut_sentence(
    answers: ScoredAnswers, number: int, other: ScoredAnswers | None = None, focus: WordSpan | None = None
) -> ShownSentence:
    """Return a sentence around a span (default: its first mistake), with the answers of one or two taggers."""
    example = answers.examples[number]
    mistakes = answers.mistakes(number)
    # A sentence without a mistake is shown from its first word.
    focus = focus or next((mistake.predicted or mistake.gold for mistake in mistakes), None) or (0, 1, "")
    begin, end = part = _window(example, focus)
    return ShownSentence(
        number + 1,
        example.text[begin:end],
        begin == 0,
        end == len(example.text),
        _entities_in(answers, number, part, gold=True),
        _entities_in(answers, number, part, gold=False),
        None if other is None else _entities_in(other, number, part, gold=False),
    )


def _entities_in(answers: ScoredAnswers, number: int, part: tuple[int, int], *, gold: bool) -> tuple[ShownEntity, ...]:
    """Return the gold or the predicted entities in a part of a sentence's text; their ends may be cut."""
    example, (begin, end), entities = answers.examples[number], part, list[ShownEntity]()
    kinds = {mistake.gold if gold else mistake.predicted: mistake.kind for mistake in answers.mistakes(number)}
    for span in answers.spans(number)[0 if gold else 1]:
        first, last = _characters(example, span)
        if first < end and last > begin:
            confidence = None if gold else answers.confidence(number, span)
            start = max(first, begin) - begin
            stop = min(last, end) - begin
            entities.append(ShownEntity(start, stop, span[2], kinds.get(span), confidence))
    return tuple(entities)


def _characters(example: Example, span: WordSpan) -> tuple[int, int]:
    return example.words[span[0]][0], example.words[span[1] - 1][1]


def _window(example: Example, focus: WordSpan) -> tuple[int, int]:
    """Return begin and end of the shown part: the whole text, or whole words around the start of a span."""
    text = example.text
    start = _characters(example, focus)[0] if example.words else 0
    if len(text) <= ROOM:
        return 0, len(text)
    begin = max(0, min(start - _BEFORE, len(text) - ROOM))
    # At the beginning of a word, but never behind the mistake.
    begin = next((first for first, _ in example.words if begin <= first <= start), start) if begin else 0
    end = min(len(text), begin + ROOM)
    last = max((stop for _, stop in example.words if start < stop <= end), default=end) if end < len(text) else end
    return begin, last
