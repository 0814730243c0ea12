"""Compute all metrics of one tagger on one test set from its tags.

Gold and predicted are decoded once, and every figure is computed from the same columns. Figures use the CoNLL script's
rules, except those under `strict`.

An entity, gold or predicted, is *seen* if its text (words joined by single spaces, as they are written) occurs with its
type among the training entities. A right prediction equals its gold entity, so it is in the same group.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np

from nerbert.errors import InputError
from nerbert.labels import word_spans
from nerbert.metrics.calibration import Calibration, calibration_of
from nerbert.metrics.columns import Columns, Mask, Pair, check_lengths, pair_of
from nerbert.metrics.error_types import kinds_of
from nerbert.metrics.interval import Interval, bootstrap, counts_by_sentence
from nerbert.metrics.score import STRICT_RULES, Counts, Score, count_where, score_pair
from nerbert.records import Example

Entity = tuple[str, str]
"""An entity's text and type."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Scores of one tagger on one test set; None for a score that was not requested."""

    sentences: int
    score: Score
    strict: Score
    span: Counts
    kinds: dict[str, int]
    interval: Interval
    seen: Counts | None = None
    unseen: Counts | None = None
    calibration: Calibration | None = None
    without: Counts | None = None
    left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the scores of a benchmark cell: figures 0–1, always with the same keys."""
        strict = {**Counts.as_json(self.strict), "macro_f1": self.strict.macro.f1, "rules": self.strict.rules}
        return {
            "rules": self.score.rules, "sentences": self.sentences, "micro": Counts.as_json(self.score),
            "macro": self.score.macro._asdict(),
            "by_type": {name: counts.as_json() for name, counts in self.score.by_type.items()},
            "strict": strict, "span": self.span.as_json(), "errors": dict(self.kinds),
            "seen": self.seen and self.seen.as_json(), "unseen": self.unseen and self.unseen.as_json(),
            "interval": asdict(self.interval), "calibration": self.calibration and asdict(self.calibration),
            "without": self.without and {"left_out": self.left_out, **self.without.as_json()},
        }  # fmt: skip


def judge(
    gold: Sequence[Sequence[str]], found: Sequence[Sequence[str]], *,
    confidences: Sequence[Sequence[float]] | None = None, words: Sequence[Sequence[str]] | None = None,
    seen: AbstractSet[Entity] | None = None, without: Collection[int] = (), seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return `assess` as JSON: the scores of a benchmark cell."""
    return assess(gold, found, confidences=confidences, words=words, seen=seen, without=without, seed=seed).as_json()


def assess(
    gold: Sequence[Sequence[str]], found: Sequence[Sequence[str]], *,
    confidences: Sequence[Sequence[float]] | None = None, words: Sequence[Sequence[str]] | None = None,
    seen: AbstractSet[Entity] | None = None, without: Collection[int] = (), seed: int = 0,
) -> Judgement:  # fmt: skip
    """Score raw tags against gold tags, one list per sentence; raise InputError for inconsistent inputs.

    `confidences` are the probabilities of the predicted tags; `seen` are the training entities (`seen_entities`), and
    require `words`; `without` are indices of sentences to omit from a second score; `seed` draws the interval.
    """
    pair = pair_of(gold, found)
    in_seen, in_unseen = (None, None) if seen is None else _by_seen(pair, words, seen)
    every = np.ones(pair.gold.starts.size, bool), np.ones(pair.found.starts.size, bool)
    return Judgement(
        sentences=pair.sentences,
        score=score_pair(pair),
        strict=score_pair(pair.strict(), STRICT_RULES),
        span=count_where(pair, *every, typed=False),
        kinds=kinds_of(pair),
        interval=bootstrap(counts_by_sentence(pair), seed=seed),
        seen=in_seen,
        unseen=in_unseen,
        calibration=None if confidences is None else calibration_of(pair, confidences),
        without=_without(pair, without) if without else None,
        left_out=len(set(without)),
    )


def seen_entities(examples: Iterable[Example]) -> set[Entity]:
    """Return text and type of every entity in the training sentences, as `judge` takes them for `seen`."""
    return {
        (" ".join(words[start:end]), type_)
        for words, spans in ((each.tokens, word_spans(each)) for each in examples)
        for start, end, type_ in spans
    }


def _by_seen(pair: Pair, words: Sequence[Sequence[str]] | None, seen: AbstractSet[Entity]) -> tuple[Counts, Counts]:
    if words is None:
        raise InputError("seen entities can't be told without words: give the words of the sentences too")
    check_lengths(pair.offsets, "words", words)
    flat = list(chain.from_iterable(words))

    def known(columns: Columns) -> Mask:
        spans = pair.spans(columns)
        return np.fromiter(((" ".join(flat[start:end]), type_) in seen for start, end, type_ in spans), bool)

    in_gold, in_found = known(pair.gold), known(pair.found)
    return count_where(pair, in_gold, in_found), count_where(pair, ~in_gold, ~in_found)


def _without(pair: Pair, places: Collection[int]) -> Counts:
    if strays := [place for place in places if not 0 <= place < pair.sentences]:
        raise InputError(f"sentence {strays[0]} can't be left out: there are {pair.sentences} sentences")
    kept = np.ones(pair.sentences, bool)
    kept[list(places)] = False
    return count_where(pair, kept[pair.sentence_of(pair.gold)], kept[pair.sentence_of(pair.found)])
