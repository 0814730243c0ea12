"""What finds entities: the protocol that training, evaluation, benchmark and tagger use for any head.

An entity's confidence is the mean probability of its parts, so a scaling can be fitted without the model.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, compress, pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from nerbert.errors import InputError, SettingsError, unknown
from nerbert.labels import WordSpan, bio_from_spans, word_spans
from nerbert.metrics.calibration import UNSCALED, Scaling, cross_fit
from nerbert.metrics.score import Score, score_spans
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array

_GAP = re.compile(r"[^\S\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*")
_ODDS = 2
"""Columns of logits where entities have log-odds: absent, present."""
_CARD_PLACES = 4
NEEDS_LABELS = "this tagger takes its labels at run time: give labels (`labels=[…]`, `--labels`)"
_SURE = 1e4
"""Log-odds of an entity that a head is certain of; infinite ones would give NaN."""

Odds: TypeAlias = float | tuple[float, ...]
"""The log-odds of an entity, the logarithm of p ÷ (1 − p): one number, or one for each of its parts."""


@dataclass(frozen=True, slots=True)
class WordTags:
    """Tags of one sentence's words with their probabilities (0–1).

    A word without a piece is O with 1; one that shares the piece of the word before it continues that one's entity.
    """

    tags: list[str]
    confidences: list[float]


@dataclass(frozen=True, slots=True)
class Entities:
    """The entities of some examples, in order; `examples`, `starts`, `ends`, `types` have one item an entity.

    `starts` and `ends` are an entity's first word and the word after its last. Its confidence is the mean probability
    of its parts, for a tagging head its words: `logits` is (parts, classes), `chosen` (parts,) the class of each, and
    `parts` (entities,) says where each entity's parts begin.
    """

    examples: Array
    starts: Array
    ends: Array
    types: list[str]
    logits: Array
    chosen: Array
    parts: Array

    @classmethod
    def of(cls, by_example: Sequence[Sequence[tuple[WordSpan, Odds]]], *, nested: bool = False) -> "Entities":
        """Return entities from a list an example; raise InputError where they overlap (`nested`: cut each other)."""
        rows = [
            (number, *span, odds if isinstance(odds, tuple) else (odds,))
            for number, spans in enumerate(by_example)
            # An outer entity comes before those inside it: `_check_overlaps` and
            # `word_tags` rely on this order.
            for span, odds in sorted(spans, key=lambda pair: (pair[0][0], -pair[0][1], pair[0][2]))
        ]
        _check_overlaps(rows, nested=nested)
        examples, starts, ends = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
        parts = np.cumsum([0, *(len(row[4]) for row in rows)])
        odds = np.fromiter(chain.from_iterable(row[4] for row in rows), np.float32, int(parts[-1])).clip(-_SURE, _SURE)
        logits = np.stack([np.zeros_like(odds), odds], 1)
        return cls(examples, starts, ends, [row[3] for row in rows], logits, np.ones(len(odds), np.int64), parts[:-1])

    @classmethod
    def join(cls, several: Sequence["Entities"], counts: Sequence[int]) -> "Entities":
        """Return the entities of several groups of examples, `counts` examples each, as those of one group."""
        names = ("examples", "starts", "ends", "logits", "chosen", "parts")
        columns = {name: [getattr(group, name) for group in several] for name in names}
        for name, sizes in (("examples", counts), ("parts", list(map(len, columns["chosen"])))):
            starts = np.cumsum([0, *sizes])
            columns[name] = [column + start for column, start in zip(columns[name], starts, strict=False)]
        types = list(chain.from_iterable(group.types for group in several))
        return cls(types=types, **{name: np.concatenate(parts) for name, parts in columns.items()})

    def split(self, counts: Sequence[int]) -> "list[Entities]":
        """Return the entities of each of several groups of examples, `counts` examples each, as if it were alone."""
        parts = [
            (first, self.where((self.examples >= first) & (self.examples < last)))
            for first, last in pairwise([0, *accumulate(counts)])
        ]
        return [replace(part, examples=part.examples - first) for first, part in parts]

    def of_types(self, types: Collection[str]) -> "Entities":
        """Return the entities that have one of some types."""
        return self.where(np.array([type_ in types for type_ in self.types], bool))

    def at_least(self, thresholds: Mapping[str, float], scaling: Scaling = UNSCALED) -> "Entities":
        """Return the entities whose confidence reaches their type's threshold (0–1); a type without one has 0."""
        least = np.array([thresholds.get(type_, 0.0) for type_ in self.types])
        return self.where(self.confidences(scaling) >= least) if least.any() else self

    def where(self, keep: Array) -> "Entities":
        """Return some of the entities; `keep` (entities,) says which."""
        lengths = np.diff(self.parts, append=len(self.chosen))
        rows = np.repeat(keep, lengths)
        return Entities(
            self.examples[keep],
            self.starts[keep],
            self.ends[keep],
            list(compress(self.types, keep)),
            self.logits[rows],
            self.chosen[rows],
            np.cumsum(lengths[keep]) - lengths[keep],
        )

    def confidences(self, scaling: Scaling = UNSCALED) -> Array:
        """Return the confidence (0–1) of each entity, by a scaling of the logits."""
        # `reduceat` refuses an empty list of places.
        if not self.parts.size:
            return np.zeros(0)
        lengths = np.diff(self.parts, append=len(self.chosen))
        sums = np.add.reduceat(probabilities(self.logits, self.chosen, scaling), self.parts)
        # Rounding can take a mean of ones just above 1.
        return np.asarray(np.clip(sums / lengths, 0.0, 1.0))

    def spans(self, scaling: Scaling = UNSCALED) -> Iterator[tuple[int, int, int, str, float]]:
        """Yield (example, first word, word after the last, type, confidence) of each entity, in order."""
        columns = (column.tolist() for column in (self.examples, self.starts, self.ends))
        return zip(*columns, self.types, self.confidences(scaling).tolist(), strict=True)

    def word_spans(self, count: int) -> list[list[WordSpan]]:
        """Return the entities of each of `count` examples."""
        rows = list(zip(self.starts.tolist(), self.ends.tolist(), self.types, strict=True))
        cuts = np.searchsorted(self.examples, np.arange(count + 1)).tolist()
        return [rows[start:end] for start, end in pairwise(cuts)]

    def word_tags(self, examples: Sequence[Example], scaling: Scaling = UNSCALED) -> list[WordTags]:
        """Return the tags of words, by the outermost entities; a word has its entity's confidence, any other has 1."""
        outer: list[list[WordSpan]] = [[] for _ in examples]
        sure = [[1.0] * len(example.words) for example in examples]
        for number, first, last, type_, confidence in self.spans(scaling):
            # Outer entities come first, so one that begins before the end of the last lies inside it.
            if not outer[number] or outer[number][-1][1] <= first:
                outer[number].append((first, last, type_))
                sure[number][first:last] = [confidence] * (last - first)
        return [
            WordTags(bio_from_spans(len(example.words), spans), confidences)
            for example, spans, confidences in zip(examples, outer, sure, strict=True)
        ]


def _check_overlaps(rows: Sequence[tuple[int, int, int, str, tuple[float, ...]]], *, nested: bool) -> None:
    """Raise InputError for rows (example, start, end, type, …), in order, that overlap as they may not."""
    around = list[tuple[int, int, int, str, tuple[float, ...]]]()
    for row in rows:
        # Entities of an earlier sentence, or that end before this one begins, can no longer hold it.
        while around and (around[-1][0], around[-1][2]) <= row[:2]:
            around.pop()
        if around and (not nested or row[2] > around[-1][2] or row[1:3] == around[-1][1:3]):
            raise InputError(f"a head gave entities that overlap: {around[-1][1:4]} and {row[1:4]} of one sentence")
        around.append(row)


def is_one_entity(example: Example, before: int, word: int, *, touching: bool) -> bool:
    """Return whether two words that have one label, with none between them that has, are one entity.

    They are if they follow each other with nothing between them but white space, without a line break. With `touching`
    they are if at most one character lies between them, whatever it is, as on NuNER Zero's own page: two words on two
    lines are one there, and two words with a hyphen between that has no label.
    """
    end = example.words[before][1]
    start = example.words[word][0]
    if touching:
        return start - end <= 1
    return before + 1 == word and _GAP.fullmatch(example.text, end, start) is not None


class Candidate(NamedTuple):
    """A span of words that may be an entity: its label's number, its log-odds and its probability."""

    start: int
    end: int
    label: int
    odds: float
    probability: float


def chosen_candidates(candidates: Sequence[Candidate], words: int, *, nested: bool) -> list[Candidate]:
    """Return the candidates that are entities, in order."""
    taken = np.zeros(words, bool)
    kept = list[Candidate]()
    # The likeliest first; of equally likely ones the leftmost, so that the answer is the same each time.
    for candidate in sorted(candidates, key=lambda span: (-span.probability, span.start)):
        here = slice(candidate.start, candidate.end)
        if taken[here].any() and not (nested and all(_may_both_be(candidate, other) for other in kept)):
            continue
        taken[here] = True
        kept.append(candidate)
    return sorted(kept, key=lambda span: (span.start, -span.end))


def _may_both_be(span: Candidate, other: Candidate) -> bool:
    # Two spans go together if exactly one holds the other: equal ones hold each other and don't.
    apart = span.end <= other.start or other.end <= span.start
    holds = span.start <= other.start and other.end <= span.end
    return apart or holds != (other.start <= span.start and span.end <= other.end)


class Head(Protocol):
    """A model made ready to find entities of its `types`; a subclass has to give `types` and `predict`."""

    decoding: str = ""
    """Its way of decoding, if there are several; for cards."""
    usual_threshold: float = 0.0
    """The lowest confidence (0–1) of its entities where neither user nor card sets another; 0: there is no threshold.

    A head that takes labels at run time has one, which a card may replace.
    """
    longest_text: int = 0
    """How many words of a text it reads at once, sentences put together; 0: a sentence at a time."""

    @property
    def name(self) -> str:
        """Return how and on what it computes."""
        return type(self).__name__

    @property
    def types(self) -> list[str]:
        """Return the entity types that it knows, sorted."""

    @property
    def labels(self) -> list[EntityLabel]:
        """Return its types as they are asked for."""
        return list(map(EntityLabel, self.types))

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of some examples, which keep their own words."""

    def predict_each(self, groups: "Sequence[tuple[Head, Sequence[Example]]]") -> list[Entities]:
        """Return the entities of several groups of examples, each found by a head of its own over the same weights.

        Each has the answer that its head's `predict` gives. Heads that can read all examples in the same batches.
        """
        return [head.predict(examples) for head, examples in groups]

    def cost(self, examples: Sequence[Example], labels: Sequence[EntityLabel] = ()) -> int:
        """Return how many subwords the model reads to find these labels; words where the head doesn't know it.

        Default: its own labels. No model runs, so an encoder of labels doesn't count.
        """
        return sum(len(example.words) for example in examples)

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        """Return how many characters of each example the model reads: all, unless long ones are cut off."""
        return [len(example.text) for example in examples]

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "Head":
        """Return a head, over the same weights, that finds entities of these labels only.

        `thresholds` (0–1) are the labels' lowest probabilities, before any scaling. A head with the same labels
        keeps their vectors. A head with fixed types filters by them; raise InputError for a label that it doesn't know.
        """
        return FilteredHead(self, labels)

    def decode_by(self, decoding: str) -> "Head":
        """Return the head with another way of decoding, over the same weights; raise SettingsError if it has none."""
        if decoding == self.decoding:
            return self
        only = f"its own, {self.decoding}" if self.decoding else "its own"
        raise SettingsError(f"setting decoding = {decoding!r:.40}: this model has only {only}", setting="decoding")

    def tag(self, examples: Sequence[Example], scaling: Scaling = UNSCALED) -> list[WordTags]:
        """Return a tag and its probability for each word; a head that makes tags gives them raw."""
        return self.predict(examples).word_tags(examples, scaling)

    def for_self_check(self, decoding: str) -> "Head":
        """Return the head as its self-check asks it: by the decoding of the answers that are expected."""
        return self

    def projections(self, texts: Sequence[Sequence[Example]]) -> list[float | None]:
        """Return a number for each text, cut into sentences, that moves with any weight; None where there is none."""
        return [None] * len(texts)


class FilteredHead(Head):
    """A head of fixed types that gives entities of some of them; raise InputError for labels that it doesn't know."""

    def __init__(self, head: Head, labels: Sequence[EntityLabel]) -> None:
        self._head = head
        self._names = {label.name for label in labels}
        self.decoding, self.longest_text = head.decoding, head.longest_text
        self.pieces = getattr(head, "pieces", None)
        self.usual_threshold = head.usual_threshold
        for label in labels:
            if label.name not in head.types:
                fixed = f"label {label.name!r:.80} is none of this tagger's fixed types"
                raise InputError(f"{fixed}{unknown(label.name, head.types)}")

    @property
    def name(self) -> str:
        """Return how and on what it computes."""
        return self._head.name

    @property
    def types(self) -> list[str]:
        """Return the wanted types, sorted."""
        return sorted(self._names)

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> Head:
        """Return the head of all types, limited to these labels."""
        return self._head.for_labels(labels, thresholds)

    def decode_by(self, decoding: str) -> Head:
        """Return it with another way of decoding."""
        return FilteredHead(self._head.decode_by(decoding), [EntityLabel(name) for name in self.types])

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities that have one of the types."""
        return self._head.predict(examples).of_types(self._names)

    def predict_each(self, groups: Sequence[tuple[Head, Sequence[Example]]]) -> list[Entities]:
        """Return the entities of several groups, all read together."""
        return predict_filtered(self._head, groups)

    def cost(self, examples: Sequence[Example], labels: Sequence[EntityLabel] = ()) -> int:
        """Return how many subwords the model reads, whatever the labels."""
        return self._head.cost(examples)

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        """Return how many characters of each example the model reads."""
        return self._head.characters_read(examples)


def predict_filtered(head: Head, groups: Sequence[tuple[Head, Sequence[Example]]]) -> list[Entities]:
    """Return the entities of several groups, each of the types of its own head, from one pass of a head of them all."""
    entities = head.predict([example for _, examples in groups for example in examples])
    parts = zip(groups, entities.split([len(examples) for _, examples in groups]), strict=True)
    return [part.of_types(set(owner.types)) for (owner, _), part in parts]


@dataclass(frozen=True, slots=True)
class Predicted:
    """The entities that a head finds in so many annotated `examples`, which of them are right, and their score."""

    entities: Entities
    right: Array
    score: Score
    examples: int
    decoding: str

    @classmethod
    def judge(cls, entities: Entities, gold: Sequence[Sequence[WordSpan]], decoding: str) -> "Predicted":
        """Return entities judged by those of each example, `gold`."""
        predicted = entities.word_spans(len(gold))
        judged = zip(predicted, map(set, gold), strict=True)
        right = [span in gold_spans for spans, gold_spans in judged for span in spans]
        return cls(entities, np.array(right, bool), score_spans(gold, predicted), len(gold), decoding)

    def calibration_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scaling fitted on these entities and the calibration errors; `data` says where they are from.

        `ece_after` is measured on parts of the sentences, each with the scaling of the others (`cross_fit`).
        Without any entity the temperature is 1 and nothing is measured. Log-odds get a bias as well.
        """
        odds = self.entities.logits.shape[1] == _ODDS
        fitted = cross_fit(self.entities.confidences, self.right, self.entities.examples, with_bias=odds)
        return {
            "temperature": round(fitted.scaling.temperature, _CARD_PLACES),
            **({"bias": round(fitted.scaling.bias, _CARD_PLACES)} if odds else {}),
            "ece_before": round(fitted.before.ece, _CARD_PLACES),
            "ece_after": round(fitted.after.ece, _CARD_PLACES),
            "bins": fitted.before.bins,
            "folds": fitted.folds,
            "entities": fitted.before.entities,
            "sentences": self.examples,
            "decoding": self.decoding,
            "data": dict(data),
        }


def predict_entities(head: Head, examples: Sequence[Example]) -> Predicted:
    """Find the entities of annotated sentences, and judge each."""
    return Predicted.judge(head.predict(examples), list(map(word_spans, examples)), head.decoding)


def probabilities(logits: Array, chosen: Array, scaling: Scaling) -> Array:
    """Return (rows,): the softmax of each row at its class."""
    return np.asarray(softmax(logits, scaling)[np.arange(len(chosen)), chosen])


def softmax(logits: Array, scaling: Scaling = UNSCALED) -> Array:
    """Return (rows, classes) probabilities in fp64; a bias is of the last class."""
    scaled = logits.astype(np.float64) / scaling.temperature
    scaled[:, -1] += scaling.bias
    scaled -= scaled.max(1, keepdims=True, initial=-np.inf)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(1, keepdims=True))
