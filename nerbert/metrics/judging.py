"""All metrics of taggers on a test set, from tags that are decoded once, and scores by type and by length."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import accumulate, chain
from typing import Any, Literal, NamedTuple

import numpy as np

from nerbert.errors import InputError
from nerbert.labels import WordSpan, word_spans
from nerbert.metrics import score as scoring
from nerbert.metrics.calibration import Calibration, calibrate, entity_confidences
from nerbert.metrics.score import Columns, Counts, Mask, Numbers, Pair, Score, check_lengths, count_where, pair_of
from nerbert.records import Example
from nerbert.rng import Array, uniform

Entity = tuple[str, str]
"""An entity's text and type."""
SAMPLES = 1_000
LEVEL = 0.95
Figure = Literal["precision", "recall", "f1"]


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a figure (0–1), or of a difference, that contain the share `level` of the bootstrap samples."""

    low: float
    high: float
    level: float
    samples: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Scores of one tagger on one test set; None for a score that was not requested."""

    sentences: int
    score: Score
    strict: Score
    span: Counts
    token: Score
    kinds: dict[str, int]
    interval: Interval
    seen: Counts | None
    unseen: Counts | None
    calibration: Calibration | None
    without: Counts | None
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Return the scores of a benchmark cell: figures from 0 to 1, always with the same keys."""
        strict = {**Counts.as_json(self.strict), "macro_f1": self.strict.macro.f1, "rules": self.strict.rules}
        token = {"macro_f1": self.token.macro.f1, "micro_f1": self.token.f1, "rules": self.token.rules}
        return {
            "rules": self.score.rules,
            "sentences": self.sentences,
            "micro": Counts.as_json(self.score),
            "macro": self.score.macro._asdict(),
            "by_type": {name: counts.as_json() for name, counts in self.score.by_type.items()},
            "strict": strict,
            "span": self.span.as_json(),
            "token": token,
            "errors": dict(self.kinds),
            "seen": self.seen and self.seen.as_json(),
            "unseen": self.unseen and self.unseen.as_json(),
            "interval": asdict(self.interval),
            "calibration": self.calibration and asdict(self.calibration),
            "without": self.without and {"left_out": self.left_out, **self.without.as_json()},
        }


def assess(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    confidences: Sequence[Sequence[float]] | None = None,
    words: Sequence[Sequence[str]] | None = None,
    seen: AbstractSet[Entity] | None = None,
    without: Collection[int] = (),
    seed: int = 0,
) -> Judgement:
    """Score raw tags against gold tags, one list per sentence; raise InputError for inconsistent inputs.

    `confidences` are the probabilities of the predicted tags; `seen` are the training entities (`seen_entities`), and
    require `words`; `without` are indices of sentences that a second score omits; `seed` is that of the interval.
    """
    pair = pair_of(gold, predicted)
    in_seen, in_unseen = (None, None) if seen is None else _by_seen(pair, words, seen)
    return Judgement(
        sentences=pair.sentences,
        score=scoring.score_pair(pair),
        strict=scoring.score_pair(pair.strict(), scoring.STRICT_RULES),
        span=scoring.score_boundaries(pair),
        token=scoring.score_words(pair),
        kinds=kinds_of(pair),
        interval=bootstrap(counts_by_sentence(pair), seed=seed),
        seen=in_seen,
        unseen=in_unseen,
        calibration=None
        if confidences is None
        else calibrate(entity_confidences(pair, confidences), pair.predicted.within(pair.gold).tolist()),
        without=_without(pair, without) if without else None,
        left_out=len(set(without)),
    )


def seen_entities(examples: Iterable[Example]) -> set[Entity]:
    """Return text and type of every entity in the training sentences, for `assess(seen=…)`."""
    return {
        (" ".join(words[start:end]), type_)
        for words, spans in ((example.tokens, word_spans(example)) for example in examples)
        for start, end, type_ in spans
    }


def _by_seen(pair: Pair, words: Sequence[Sequence[str]] | None, seen: AbstractSet[Entity]) -> tuple[Counts, Counts]:
    if words is None:
        raise InputError("seen entities can't be found without words: give the words of the sentences too")
    # Else entities would be looked up under the words of another sentence.
    check_lengths(pair.offsets, "words", words)
    flat = list(chain.from_iterable(words))

    def is_seen(columns: Columns) -> Mask:
        spans = pair.spans(columns)
        return np.fromiter(((" ".join(flat[start:end]), type_) in seen for start, end, type_ in spans), bool)

    in_gold, in_found = is_seen(pair.gold), is_seen(pair.predicted)
    return count_where(pair, in_gold, in_found), count_where(pair, ~in_gold, ~in_found)


def without_types(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], types: Collection[str]) -> Counts:
    """Return counts without gold and predicted entities of these types; raise InputError as `assess` does."""
    pair = pair_of(gold, predicted)
    other = np.array([name not in types for name in pair.types])
    return count_where(pair, other[pair.gold.types], other[pair.predicted.types])


def _without(pair: Pair, sentences: Collection[int]) -> Counts:
    kept = np.ones(pair.sentences, bool)
    kept[list(sentences)] = False
    return count_where(pair, kept[pair.sentence_of(pair.gold)], kept[pair.sentence_of(pair.predicted)])


class MistakeKind(StrEnum):
    """Kinds of mistakes; the first three are pairs of a gold and a predicted entity, the best match first."""

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
    """Return the mistakes in one sentence (or in all, with positions over all sentences); entities are in any order."""
    gold_left = set(gold) - set(predicted)
    predicted_left = set(predicted) - set(gold)
    mistakes: list[Mistake] = []
    for pair in sorted(_overlaps(sorted(gold_left), sorted(predicted_left)), key=_worth):
        if pair[0] in gold_left and pair[1] in predicted_left:
            mistakes.append(Mistake(_classify(*pair), *pair))
            gold_left.remove(pair[0])
            predicted_left.remove(pair[1])
    mistakes += [Mistake(MistakeKind.MISSED, span, None) for span in sorted(gold_left)]
    return mistakes + [Mistake(MistakeKind.SPURIOUS, None, span) for span in sorted(predicted_left)]


def kinds_of(pair: Pair) -> dict[str, int]:
    """Return the number of mistakes of every kind, by the CoNLL script's rules."""
    gold = pair.gold.where(~pair.gold.within(pair.predicted))
    wrong = pair.predicted.where(~pair.predicted.within(pair.gold))
    counts = Counter(mistake.kind for mistake in find_mistakes(pair.spans(gold), pair.spans(wrong)))
    return {kind.value: counts[kind] for kind in MistakeKind}


def _overlaps(gold: list[WordSpan], predicted: list[WordSpan]) -> Iterator[tuple[WordSpan, WordSpan]]:
    """Yield all pairs that share a word; both lists must be sorted, since bisection limits the comparisons."""
    starts = [start for start, _, _ in predicted]
    # Ends aren't sorted if entities are nested; their running maximum is, so it can be bisected.
    reach = list(accumulate((end for _, end, _ in predicted), max))
    for span in gold:
        for other in predicted[bisect_right(reach, span[0]) : bisect_left(starts, span[1])]:
            # The running maximum may come from an earlier, longer entity.
            if other[1] > span[0]:
                yield span, other


def _classify(gold: WordSpan, predicted: WordSpan) -> MistakeKind:
    if gold[:2] == predicted[:2]:
        return MistakeKind.TYPE
    return MistakeKind.BOUNDARY if gold[2] == predicted[2] else MistakeKind.BOTH


_ORDER = {kind: rank for rank, kind in enumerate(MistakeKind)}


def _worth(pair: tuple[WordSpan, WordSpan]) -> tuple[int, int, WordSpan, WordSpan]:
    gold, predicted = pair
    shared = min(gold[1], predicted[1]) - max(gold[0], predicted[0])
    # Spans come last, so that ties go to the leftmost, in any order of the input.
    return _ORDER[_classify(gold, predicted)], -shared, gold, predicted


def counts_by_sentence(pair: Pair) -> Numbers:
    """Return one row per sentence: its numbers of right, predicted and gold entities."""
    right = pair.predicted.where(pair.predicted.within(pair.gold))
    numbers = (pair.sentence_of(columns) for columns in (right, pair.predicted, pair.gold))
    return np.stack([np.bincount(sentences, minlength=pair.sentences) for sentences in numbers], axis=1)


def span_counts(gold: Sequence[Sequence[WordSpan]], predicted: Sequence[Sequence[WordSpan]]) -> Numbers:
    """Return one row per sentence: its numbers of right, predicted and gold entities, from lists of spans."""
    sets = (map(set, spans) for spans in zip(gold, predicted, strict=True))
    rows = [(len(annotated & tagged), len(tagged), len(annotated)) for annotated, tagged in sets]
    return np.array(rows, np.int64).reshape(-1, 3)


def bootstrap(
    counts: Numbers, figure: Figure = "f1", *, samples: int = SAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Return the interval of a micro figure; `counts` has a row per sentence (right, predicted, gold), in any order."""
    return _interval(counts, _FIGURES[figure], samples, level, seed)


def bootstrap_difference(
    base: Numbers, other: Numbers, *, samples: int = SAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Return the interval of `base`'s micro F1 minus `other`'s; rows are as in `bootstrap`, and are drawn in pairs."""
    # The same sentences are drawn for both, so that those hard for both cancel out.
    return _interval(np.hstack([base, other]), lambda sums: _f1(sums[:, :3]) - _f1(sums[:, 3:]), samples, level, seed)


def _f1(sums: Numbers) -> Array:
    right, predicted, gold = sums.T
    f1: Array = 2 * right / np.maximum(1, predicted + gold)
    return f1


_FIGURES: dict[Figure, Callable[[Numbers], Array]] = {
    "precision": lambda sums: sums[:, 0] / np.maximum(1, sums[:, 1]),
    "recall": lambda sums: sums[:, 0] / np.maximum(1, sums[:, 2]),
    "f1": _f1,
}


def _interval(counts: Numbers, score: Callable[[Numbers], Array], samples: int, level: float, seed: int) -> Interval:
    if not len(counts):
        return Interval(0.0, 0.0, level, samples)
    # Most sentences have the same few counts, so drawing how often each occurs is much faster.
    kinds, often = _different(counts)
    # `RandomState` promises the same numbers in all versions of NumPy; `Generator` doesn't.
    draws = np.random.RandomState(int(uniform(seed, "bootstrap", str(samples)) * (1 << 32)))
    scores = score(draws.multinomial(len(counts), often / len(counts), samples) @ kinds)
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, samples)


def _different(counts: Numbers) -> tuple[Numbers, Numbers]:
    """Return the distinct rows in order, and the count of each: `np.unique` of rows, but faster."""
    shape = tuple((counts.max(axis=0) + 1).tolist())
    try:
        codes, often = np.unique(np.ravel_multi_index(tuple(counts.T), shape), return_counts=True)
    # There are more combinations than fit into 64 bits.
    except ValueError:
        kinds, often = np.unique(counts, axis=0, return_counts=True)
        return kinds, often
    return np.stack(np.unravel_index(codes, shape), axis=1), often


_RIGHT = np.array([[1, 1, 1]])
_WRONG = np.array([[0, 1, 1]])
"""Pseudo-sentences (right, predicted and gold entities) added to a part's interval: zero mistakes among a few entities
don't prove a perfect score. A difference gets two, with a different tagger right in each."""
LONGEST = 6
"""Entities of at least this number of words form one group."""


@dataclass(frozen=True, slots=True)
class Part:
    """Counts of a part of the entities, with the interval of their F1."""

    name: str
    counts: Counts
    interval: Interval


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """F1 (0–1) of two taggers on the same entities, with the interval of the first F1 minus the second."""

    name: str
    gold: int
    f1: float
    other: float
    interval: Interval

    @property
    def gain(self) -> float:
        """The first tagger's F1 minus the second one's."""
        return self.f1 - self.other

    @property
    def sure(self) -> bool:
        """True if the interval excludes 0, so one tagger is clearly better."""
        return self.interval.low > 0 or self.interval.high < 0


class Confusion(NamedTuple):
    """Number of entities of type `gold` that were predicted with the right boundaries, but as type `predicted`."""

    gold: str
    predicted: str
    entities: int


def by_type(pair: Pair) -> list[Part]:
    """Return the counts of each type that occurs, the types with the most gold entities first."""
    parts = [_part(name, pair.of_type(name)) for name in pair.types[1:]]
    return sorted((part for part in parts if part.counts != Counts()), key=lambda part: (-part.counts.gold, part.name))


def by_length(pair: Pair) -> list[Part]:
    """Return the counts of entities with one word, two words, …; gold and predicted ones count by their own lengths."""
    lengths = range(1, LONGEST + 1)
    names = [*map(str, lengths[:-1]), f"{LONGEST} or more"]
    parts = []
    for name, length in zip(names, lengths, strict=True):
        gold, predicted = (
            columns.where(np.minimum(columns.ends - columns.starts, LONGEST) == length)
            for columns in (pair.gold, pair.predicted)
        )
        parts.append(_part(name, replace(pair, gold=gold, predicted=predicted)))
    return [part for part in parts if part.counts != Counts()]


def confusions(pair: Pair) -> list[Confusion]:
    """Return the pairs of confused types, the most frequent first; their sum is the count `type` of `kinds_of`."""
    columns = [
        columns.types[columns.within(other, typed=False)]
        for columns, other in ((pair.gold, pair.predicted), (pair.predicted, pair.gold))
    ]
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    counts = Counter((pair.types[gold], pair.types[predicted]) for gold, predicted in numbers if gold != predicted)
    return [Confusion(*types, count) for types, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def differences(base: Pair, other: Pair) -> Iterator[ScoreDifference]:
    """Yield the differences of two taggers on the same gold tags: overall, then by type, the most frequent first."""
    yield _difference("", counts_by_sentence(base), counts_by_sentence(other))
    names = dict.fromkeys((*base.types[1:], *other.types[1:]))
    # A type that only one tagger predicts, and gold lacks, has no columns in the other pair.
    none = np.zeros((base.sentences, 3), np.int64)
    results = [
        _difference(
            name, *(counts_by_sentence(pair.of_type(name)) if name in pair.types else none for pair in (base, other))
        )
        for name in names
    ]
    yield from sorted(results, key=lambda result: (-result.gold, result.name))


def _part(name: str, pair: Pair) -> Part:
    counts = counts_by_sentence(pair)
    return Part(name, Counts(*counts.sum(axis=0).tolist()), bootstrap(np.vstack([counts, _WRONG])))


def _difference(name: str, base: Numbers, other: Numbers) -> ScoreDifference:
    first, second = (Counts(*counts.sum(axis=0).tolist()) for counts in (base, other))
    rows = ([base, _RIGHT, _WRONG], [other, _WRONG, _RIGHT])
    return ScoreDifference(name, first.gold, first.f1, second.f1, bootstrap_difference(*map(np.vstack, rows)))
