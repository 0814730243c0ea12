"""Which sentence is labelled next: one at random, and one in five of them is for the test.

No sentence comes twice, nor a near-duplicate of one that was shown: one whose set of words is to four fifths the same.
"""

from collections import defaultdict
from collections.abc import Sequence

from nerbert.records import Example
from nerbert.rng import uniform

BLOCK = 5
"""Of so many sentences one is for the test."""
_SAME = 0.8


def words_of(sentence: Example) -> frozenset[str]:
    """Return the words of a sentence by which it is compared, without punctuation."""
    return frozenset(each.casefold() for each in sentence.tokens if any(map(str.isalnum, each)))


def is_for_test(place: int, seed: int) -> bool:
    """Return whether the sentence that is shown as number `place` is kept apart: one, at random, of each five."""
    block = place // BLOCK
    return place % BLOCK == int(uniform(seed, "label test", str(block)) * BLOCK)


class Draw:
    """The order of sentences, the same for a seed; `show` notes what was shown."""

    def __init__(self, sentences: Sequence[Example], seed: int) -> None:
        self._sentences, self._seed = sentences, seed
        self._queue = sorted(range(len(sentences)), reverse=True,
                             key=lambda each: (uniform(seed, "label order", sentences[each].text), each))  # fmt: skip
        """The sentences that may still be shown; the next one is last."""
        self._shown = set[int]()
        self._sets = defaultdict[str, list[frozenset[str]]](list)
        """By word: the sets of words of the sentences that were shown."""

    def show(self, number: int) -> None:
        """Note that a sentence is shown."""
        words = words_of(self._sentences[number])
        for each in words:
            self._sets[each].append(words)
        self._shown.add(number)

    def next(self) -> tuple[int, bool] | None:
        """Return the number of the next sentence, and whether it is for the test; None if none is left."""
        while self._queue and (self._queue[-1] in self._shown or self._is_near(self._queue[-1])):
            self._queue.pop()
        return (self._queue[-1], is_for_test(len(self._shown), self._seed)) if self._queue else None

    def _is_near(self, number: int) -> bool:
        """Return whether a sentence is a near-duplicate: of such, one of its rarest words is in the other, too."""
        words = words_of(self._sentences[number])
        rarest = sorted(words, key=lambda each: len(self._sets.get(each, ())))[: int((1 - _SAME) * len(words)) + 1]
        others = (each for word in rarest for each in self._sets.get(word, ()))
        return any(len(words & each) >= _SAME * len(words | each) for each in others)
