"""Precision, recall and F1 (0–1) of entities: an entity is right if its words and its type are exactly right."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError, at, refused
from nerbert.labels import OUTSIDE, WordSpan, split_tag

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Entities `[start, end)` in words over all sentences, types numbered from 1; `opened`: True if B- begins them."""

    starts: Numbers
    ends: Numbers
    types: Numbers
    opened: Mask

    def where(self, mask: Mask) -> "Columns":
        """Return the entities that the mask keeps."""
        return Columns(self.starts[mask], self.ends[mask], self.types[mask], self.opened[mask])

    def within(self, other: "Columns", *, typed: bool = True) -> Mask:
        """Return for each entity whether the other tagging contains it too; unless `typed`, its type may differ."""
        if not other.starts.size:
            return np.zeros(self.starts.size, bool)
        # Entities of one tagging never overlap, so a start occurs once and the nearest is the only candidate.
        index = np.minimum(np.searchsorted(other.starts, self.starts), other.starts.size - 1)
        same: Mask = (other.starts[index] == self.starts) & (other.ends[index] == self.ends)
        if typed:
            same &= other.types[index] == self.types
        return same

    def over(self, other: "Columns") -> Mask:
        """Return for each entity whether it shares a word with one of the other tagging."""
        # It shares a word if more of the others have begun before its end than have ended by its start.
        begun = np.searchsorted(other.starts, self.ends)
        shared: Mask = begun > np.searchsorted(other.ends, self.starts, side="right")
        return shared


@dataclass(frozen=True, slots=True)
class Pair:
    """Gold and predicted entities of the same sentences; `types` are their names, `offsets` the sentences' starts."""

    types: tuple[str, ...]
    offsets: Numbers
    gold: Columns
    predicted: Columns

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return self.offsets.size - 1

    def strict(self) -> "Pair":
        """Return the pair by strict IOB2, without entities that don't begin with B-."""
        return self._where(self.gold.opened, self.predicted.opened)

    def of_type(self, name: str) -> "Pair":
        """Return the pair without the entities of other types."""
        number = self.types.index(name)
        return self._where(self.gold.types == number, self.predicted.types == number)

    def _where(self, gold: Mask, predicted: Mask) -> "Pair":
        return replace(self, gold=self.gold.where(gold), predicted=self.predicted.where(predicted))

    def sentence_of(self, columns: Columns) -> Numbers:
        """Return the number of each entity's sentence."""
        return np.searchsorted(self.offsets, columns.starts, side="right") - 1

    def word_types(self, columns: Columns) -> npt.NDArray[np.int32]:
        """Return the type number of each word over all sentences, its IO label; 0 is O."""
        # +type at an entity's start and −type behind its end; the running sum is each word's type.
        steps = np.zeros(int(self.offsets[-1]) + 1, np.int32)
        steps[columns.starts] += columns.types
        steps[columns.ends] -= columns.types
        return np.cumsum(steps[:-1], dtype=np.int32)

    def spans(self, columns: Columns) -> list[WordSpan]:
        """Return the entities as `(start, end, type)`, with word positions over all sentences."""
        rows = zip(columns.starts.tolist(), columns.ends.tolist(), columns.types.tolist(), strict=True)
        return [(start, end, self.types[type_]) for start, end, type_ in rows]


def pair_of(gold: Iterable[Iterable[str]], predicted: Iterable[Iterable[str]]) -> Pair:
    """Decode two taggings; raise InputError for an invalid tag, or if the numbers of sentences or words differ."""
    gold = _sentences("gold", gold)
    predicted = _sentences("predicted", predicted)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(_lengths(gold))])
    check_lengths(offsets, "predicted", predicted)
    # Shared by both taggings, so that equal types have equal numbers.
    codes = _Codes()
    coded = [_numbers(name, tags, codes, int(offsets[-1])) for name, tags in (("gold", gold), ("predicted", predicted))]
    return Pair(("", *codes.types), offsets, *(decode_columns(column, offsets) for column in coded))


def check_lengths(offsets: Numbers, noun: str, other: Sequence[Sequence[object]]) -> None:
    """Raise InputError unless `other` has as many items in each sentence as there are gold tags."""
    gold = np.diff(offsets)
    if gold.size != len(other):
        raise InputError(f"{gold.size} gold sentences, {len(other)} {noun}: score the same sentences")
    lengths = _lengths(other)
    if (wrong := np.flatnonzero(gold != lengths)).size:
        index = int(wrong[0])
        raise InputError(f"sentence {index}: {gold[index]} gold tags, {lengths[index]} {noun}: score the same words")


def _lengths(sentences: Sequence[Sequence[object]]) -> Numbers:
    return np.fromiter(map(len, sentences), np.int64, len(sentences))


def _sentences(name: str, sentences: Iterable[Iterable[str]]) -> list[Sequence[str]]:
    with refused(f"{name}: must be one list of tags per sentence", of=TypeError):
        return [tags if isinstance(tags, (list, tuple)) else list(tags) for tags in sentences]


class _Codes(dict[str, int]):
    """Tag → number: 0 is O, 2k - 1 is B- and 2k is I- of type k. A tag is parsed when it first occurs."""

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[str, int] = {}

    def __missing__(self, tag: str) -> int:
        prefix, type_ = split_tag(tag)
        number = 0 if prefix == OUTSIDE else self.types.setdefault(type_, len(self.types) + 1)
        return self.setdefault(tag, 2 * number - (prefix == "B"))


def _numbers(name: str, sentences: Sequence[Sequence[str]], codes: _Codes, words: int) -> npt.NDArray[np.int32]:
    try:
        return np.fromiter(map(codes.__getitem__, chain.from_iterable(sentences)), np.int32, words)
    except (InputError, TypeError):
        # Only after an error, to say where: the fast loop doesn't know the place.
        for number, sentence in enumerate(sentences):
            for position, tag in enumerate(sentence):
                with at(part=f"{name}, sentence {number}, word {position}"):
                    split_tag(tag)
        raise


def decode_columns(codes: npt.NDArray[np.int32], offsets: Numbers) -> Columns:
    """Decode the tag numbers of all sentences, whose words begin at `offsets`, by the CoNLL script's rules.

    Numbers are as in `labels.tag_names`: 0 is O, 2k - 1 is B- and 2k is I- of type k, counted from 1; negative numbers
    are outside, too.
    """
    # One more than the words: the last offset is the end of the text.
    first = np.zeros(codes.size + 1, bool)
    first[offsets] = True
    words = np.flatnonzero(codes > 0)
    tags = codes[words]
    types = (codes[words] + 1) >> 1
    goes_on = (tags % 2 == 0) & ~first[words]
    # By the CoNLL script, an I- of another type, or after an O, begins an entity.
    goes_on[1:] &= (types[1:] == types[:-1]) & (words[1:] == words[:-1] + 1)
    goes_on[:1] = False
    begin = np.flatnonzero(~goes_on)
    # Without any entity, both parts must be empty.
    last = np.concatenate([begin[1:] - 1, np.full(min(1, words.size), words.size - 1)])
    return Columns(words[begin], words[last] + 1, types[begin].astype(np.int64), tags[begin] % 2 == 1)


RULES = "entity F1, CoNLL script's rules on BIO"
"""Printed next to every figure: an `I-x` that doesn't continue an entity begins one (seqeval's default)."""
STRICT_RULES = "entity F1, strict IOB2: an I- that continues nothing is no entity"
"""Printed next to the stricter figures (seqeval's mode="strict", scheme=IOB2)."""
TOKEN_RULES = "token F1, IO labels: words count, not entities; never beside entity F1 in one column"
"""Printed next to figures of `score_words`."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of right, predicted and gold entities, from which the figures are computed."""

    right: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """Precision: right ÷ predicted, 0 without predictions."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Recall: right ÷ gold, 0 without gold entities."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / (self.predicted + self.gold) if self.right else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures (0–1)."""
        counts = {"right": self.right, "predicted": self.predicted, "gold": self.gold}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


class Macro(NamedTuple):
    """Unweighted means over the types that occur in gold or predicted (seqeval's macro), and the number of these.

    `f1` is the mean of the types' F1. A type that is only predicted counts as 0, so one stray prediction is expensive.
    """

    precision: float
    recall: float
    f1: float
    types: int

    @classmethod
    def of(cls, counts: Sequence[Counts]) -> "Macro":
        """Return the means over the counts of all types; 0 if there are none."""
        count = max(1, len(counts))
        sums = (sum(c.precision for c in counts), sum(c.recall for c in counts), sum(c.f1 for c in counts))
        return cls(sums[0] / count, sums[1] / count, sums[2] / count, len(counts))


@dataclass(frozen=True, slots=True)
class Score(Counts):
    """Micro-averaged counts over all types, and counts for each type that occurs in gold or predicted."""

    by_type: dict[str, Counts] = field(default_factory=dict)
    rules: str = RULES

    @property
    def macro(self) -> Macro:
        """Unweighted means over `by_type`."""
        return Macro.of(list(self.by_type.values()))

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures (0–1), over all types, as macro means and by type, with the rules of scoring."""
        by_type = {name: counts.as_json() for name, counts in self.by_type.items()}
        return Counts.as_json(self) | {"macro": self.macro._asdict(), "by_type": by_type, "rules": self.rules}


def score_tags(gold: Iterable[Iterable[str]], predicted: Iterable[Iterable[str]], *, strict: bool = False) -> Score:
    """Score BIO tags, one list per sentence; raise InputError for invalid tags, or if lengths differ.

    The score equals seqeval's default. With `strict`, it equals seqeval's mode="strict", scheme=IOB2, where an I- can't
    begin an entity, except for types that begin or end in a dash, which seqeval strips. Without any entity, macro is
    NaN in seqeval and 0 here. `Score.rules` names the rules.
    """
    pair = pair_of(gold, predicted)
    return score_pair(pair.strict(), STRICT_RULES) if strict else score_pair(pair)


def score_pair(pair: Pair, rules: str = RULES) -> Score:
    """Score two decoded taggings, over all types and by type."""
    right = pair.predicted.types[pair.predicted.within(pair.gold)]
    return _score(pair.types, right, pair.predicted.types, pair.gold.types, rules)


def score_words(pair: Pair) -> Score:
    """Score single words by IO labels: B-x and I-x are both x, and words that are O in both taggings don't count.

    `macro.f1` is *macro token F1*, scikit-learn's `f1_score(average="macro")` with all labels except O. Never put it
    into one column with entity F1 (docs/explanation/glossary.md).
    """
    gold = pair.word_types(pair.gold)
    tagged = pair.word_types(pair.predicted)
    return _score(pair.types, gold[(gold == tagged) & (gold > 0)], tagged[tagged > 0], gold[gold > 0], TOKEN_RULES)


def _score(
    names: Sequence[str], right: npt.NDArray[Any], predicted: npt.NDArray[Any], gold: npt.NDArray[Any], rules: str
) -> Score:
    """Return the score from the type numbers of right, predicted and gold items."""
    columns = [np.bincount(types, minlength=len(names)) for types in (right, predicted, gold)]
    by_number = [Counts(*row) for row in np.stack(columns, axis=1).tolist()]
    # A type of neither tagging, as after `of_type`, must not lower the macro mean.
    by_type = {name: counts for name, counts in zip(names, by_number, strict=True) if counts != Counts()}
    return Score(right.size, predicted.size, gold.size, dict(sorted(by_type.items())), rules)


def score_boundaries(pair: Pair) -> Counts:
    """Return the counts of the entities, ignoring their types."""
    return count_where(pair, *(np.ones(part.starts.size, bool) for part in (pair.gold, pair.predicted)), typed=False)


def count_where(pair: Pair, gold: Mask, predicted: Mask, *, typed: bool = True) -> Counts:
    """Return counts of the entities that the masks keep; the masks must agree on equal gold and predicted entities."""
    right = pair.predicted.within(pair.gold, typed=typed) & predicted
    return Counts(int(right.sum()), int(predicted.sum()), int(gold.sum()))


def score_spans(gold: Iterable[Iterable[WordSpan]], predicted: Iterable[Iterable[WordSpan]]) -> Score:
    """Score entities `(start, end, type)`, one iterable per sentence."""
    right = Counter[str]()
    tagged = Counter[str]()
    expected = Counter[str]()
    for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
        gold_set = set(gold_spans)
        predicted_set = set(predicted_spans)
        right.update(type_ for _, _, type_ in gold_set & predicted_set)
        tagged.update(type_ for _, _, type_ in predicted_set)
        expected.update(type_ for _, _, type_ in gold_set)
    by_type = {t: Counts(right[t], tagged[t], expected[t]) for t in sorted(tagged.keys() | expected.keys())}
    return Score(right.total(), tagged.total(), expected.total(), by_type)


def collapse_types(spans: Iterable[WordSpan]) -> list[WordSpan]:
    """Return the same spans with a single type, so that only boundaries count."""
    return [(start, end, "span") for start, end, _ in spans]
