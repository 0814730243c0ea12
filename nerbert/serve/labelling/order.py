"""Which sentence is labelled next: one in five at random for the test, the others at random, or those to learn from.

The first ten are random. Then, with `mixed`, the sentence comes that the tagger is least certain of and that has most
words unseen so far, by the sum of both ranks among a sample. No sentence comes twice, nor a near-duplicate of one that
was shown: one whose set of words is to four fifths the same.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from nerbert.records import Example
from nerbert.rng import uniform

Order = Literal["random", "mixed"]
BLOCK = 5
"""Of so many sentences one is for the test."""
FIRST = 10
"""Sentences that are drawn at random, whatever the order."""
SAMPLE = 300
"""Sentences among which the tagger's certainty is compared."""
_SAME = 0.8


def words_of(sentence: Example) -> frozenset[str]:
    """Return the words of a sentence by which it is compared, without punctuation."""
    return frozenset(each.casefold() for each in sentence.tokens if any(map(str.isalnum, each)))


def is_for_test(place: int, seed: int) -> bool:
    """Return whether the sentence that is shown as number `place` is kept apart: one, at random, of each five."""
    block = place // BLOCK
    return place % BLOCK == int(uniform(seed, "label test", str(block)) * BLOCK)


class Draw:
    """The order of sentences, the same for a seed; what was shown is told by `show`."""

    def __init__(self, sentences: Sequence[Example], order: Order, seed: int) -> None:
        self._sentences, self._order, self._seed = sentences, order, seed
        self._queue = list[int]()
        self._queued, self._shown = 0, 0
        self._sets, self._seen = defaultdict[str, list[frozenset[str]]](list), set[str]()
        """By word: the sets of words of the sentences that were shown; and all their words."""
        self._gone = set[int]()

    def show(self, number: int) -> None:
        """Note that a sentence is shown."""
        words = words_of(self._sentences[number])
        for each in words:
            self._sets[each].append(words)
        self._seen |= words
        self._gone.add(number)
        self._shown += 1

    def next(self, uncertain: Mapping[int, float]) -> tuple[int, bool] | None:
        """Return the number of the next sentence, and whether it is for the test; None if none is left.

        `uncertain` says how little the tagger is certain of sentences of the sample (0–1); without any, it is random.
        """
        test = is_for_test(self._shown, self._seed)
        if self._order == "mixed" and not test and self._shown >= FIRST:
            left = [each for each in uncertain if each not in self._gone and not self._is_near(each)]
            if left:
                return self._best(left, uncertain), False
        number = next(self._left(), None)
        return None if number is None else (number, test)

    def sample(self) -> list[int]:
        """Return the sentences whose certainty is to be known."""
        found = list[int]()
        for number in self._left():
            found.append(number)
            if len(found) == SAMPLE:
                break
        return found

    def _best(self, left: Sequence[int], uncertain: Mapping[int, float]) -> int:
        """Return the sentence with the most others below it, by uncertainty and by novelty together."""
        both = [[by(each) for each in left] for by in (uncertain.__getitem__, self._novelty)]
        ordered = [sorted(values) for values in both]
        below = [sum(map(bisect_left, ordered, values)) for values in zip(*both, strict=True)]
        return left[below.index(max(below))]

    def _novelty(self, number: int) -> float:
        """Return which share of a sentence's words was in none that was shown."""
        words = words_of(self._sentences[number])
        return len(words - self._seen) / max(1, len(words))

    def _left(self) -> Iterator[int]:
        """Yield the sentences that may be shown, in random order; near-duplicates are dropped for good."""
        if self._queued < len(self._sentences):
            new = range(self._queued, len(self._sentences))
            self._queue = _shuffled([*self._queue, *new], self._sentences, self._seed)
            self._queued = len(self._sentences)
        for number in tuple(self._queue):
            if number in self._gone or self._is_near(number):
                self._gone.add(number)
            else:
                yield number
        self._queue = [each for each in self._queue if each not in self._gone]

    def _is_near(self, number: int) -> bool:
        """Return whether a sentence is a near-duplicate: of such, one of its rarest words is in the other, too."""
        words = words_of(self._sentences[number])
        rarest = sorted(words, key=lambda each: len(self._sets.get(each, ())))[: int((1 - _SAME) * len(words)) + 1]
        others = (each for word in rarest for each in self._sets.get(word, ()))
        return any(len(words & each) >= _SAME * len(words | each) for each in others)


def _shuffled(numbers: Iterable[int], sentences: Sequence[Example], seed: int) -> list[int]:
    return sorted(numbers, key=lambda each: (uniform(seed, "label order", sentences[each].text), each))
