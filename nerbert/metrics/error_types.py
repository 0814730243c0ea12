"""Classify each wrong entity by its kind of mistake; every gold and predicted entity is counted exactly once.

Exact matches are removed first. The rest is paired one to one: first pairs with the same boundaries (`type`), then
overlapping pairs of the same type (`boundary`), then other overlaps (`both`); within a kind the larger overlap first,
then the leftmost. An entity without a partner is `missed` (gold) or `spurious` (predicted), even if it overlaps one
that already has a partner: a gold entity cut in two is one `boundary` and one `spurious`. So always

    gold      = right + type + boundary + both + missed
    predicted = right + type + boundary + both + spurious

The pairing is greedy in a total order, so it does not depend on the order of the entities. The cost: occasionally one
more pair could be made by giving up a better one.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from nerbert.labels import WordSpan
from nerbert.metrics.columns import Pair


class MistakeKind(StrEnum):
    """Kinds of mistakes; the first three are pairs of a gold and a predicted entity, best first."""

    TYPE = "type"
    BOUNDARY = "boundary"
    BOTH = "both"
    MISSED = "missed"
    SPURIOUS = "spurious"


class Mistake(NamedTuple):
    """A mistake: the gold entity that was mispredicted or missed, and the wrong predicted one."""

    kind: MistakeKind
    gold: WordSpan | None
    predicted: WordSpan | None


def find_mistakes(gold: Collection[WordSpan], predicted: Collection[WordSpan]) -> list[Mistake]:
    """Return the mistakes among entities of one sentence (or with positions over all sentences), in any order."""
    gold_left, predicted_left = set(gold) - set(predicted), set(predicted) - set(gold)
    mistakes: list[Mistake] = []
    for pair in sorted(_overlaps(sorted(gold_left), sorted(predicted_left)), key=_worth):
        if pair[0] in gold_left and pair[1] in predicted_left:
            mistakes.append(Mistake(_kind(*pair), *pair))
            gold_left.remove(pair[0])
            predicted_left.remove(pair[1])
    mistakes += [Mistake(MistakeKind.MISSED, span, None) for span in sorted(gold_left)]
    return mistakes + [Mistake(MistakeKind.SPURIOUS, None, span) for span in sorted(predicted_left)]


def kinds_of(pair: Pair) -> dict[str, int]:
    """Count the mistakes of each kind, by the CoNLL script's rules; all kinds are included."""
    gold = pair.gold.where(~pair.gold.within(pair.found))
    found = pair.found.where(~pair.found.within(pair.gold))
    counts = Counter(mistake.kind for mistake in find_mistakes(pair.spans(gold), pair.spans(found)))
    return {kind.value: counts[kind] for kind in MistakeKind}


def _overlaps(gold: list[WordSpan], predicted: list[WordSpan]) -> Iterator[tuple[WordSpan, WordSpan]]:
    """Yield all pairs that share a word; both lists are sorted, and bisection limits the comparisons."""
    starts = [start for start, _, _ in predicted]
    reach = list(accumulate((end for _, end, _ in predicted), max))
    for span in gold:
        for other in predicted[bisect_right(reach, span[0]) : bisect_left(starts, span[1])]:
            if other[1] > span[0]:
                yield span, other


def _kind(gold: WordSpan, predicted: WordSpan) -> MistakeKind:
    if gold[:2] == predicted[:2]:
        return MistakeKind.TYPE
    return MistakeKind.BOUNDARY if gold[2] == predicted[2] else MistakeKind.BOTH


_ORDER = {kind: place for place, kind in enumerate(MistakeKind)}


def _worth(pair: tuple[WordSpan, WordSpan]) -> tuple[int, int, WordSpan, WordSpan]:
    gold, predicted = pair
    shared = min(gold[1], predicted[1]) - max(gold[0], predicted[0])
    return _ORDER[_kind(gold, predicted)], -shared, gold, predicted
