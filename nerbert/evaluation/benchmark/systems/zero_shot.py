"""Zero-shot systems: they get the names of a target's types, all in one prompt, and are not trained on it.

Figures are at a fixed threshold, 0.5, at the tagger's own and at the best one on dev, from the same run (`above`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from nerbert.errors import InputError
from nerbert.evaluation.benchmark import keys
from nerbert.evaluation.benchmark.cells import CellSentences, FoundEntities, Predictions, found_entities
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.system import made_with_torch, timed
from nerbert.evaluation.benchmark.systems.finetuned import Encoder
from nerbert.evaluation.benchmark.systems.learnt import Learnt, LearntTypes
from nerbert.evaluation.evaluate import labels_by_type
from nerbert.formats.entity_labels import parse_type_labels
from nerbert.formats.open_types import normalised
from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.calibration import uncalibrated
from nerbert.model.concept_table import class_words
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Entities
from nerbert.model.threshold_fit import TRIED, USUAL, above, best_threshold
from nerbert.records import EntityLabel, Example
from nerbert.rng import uniform
from nerbert.tagger.tagger import Tagger

AT_OWN, AT_DEV = "at_own_threshold", "best_on_dev"
"""The readings beside that at 0.5, as a cell's scores call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A system that gets the types of a target and is not trained on it; all seeds have the same result."""

    labels: tuple[str, ...] = ()
    """The types to ask for, `TYPE=label` or `TYPE` each; default: all types of the sentences."""
    learnt: Learnt = field(default_factory=Learnt)
    source: ClassVar[None] = None

    @property
    def facts(self) -> dict[str, Any]:
        """Return all that its predictions depend on but the data."""
        return {"code": (keys.ASKING, keys.TRAINING, keys.SCORING), "labels": list(self.labels), **self.learnt.facts}

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return the scored split, and dev for the best threshold."""
        return split, "dev"

    def check_unchanged(self) -> None:
        """Raise NerbertError if its training data changed."""
        self.learnt.check_unchanged()

    def predict(self, part: CellSentences, store: Store, scratch: Path) -> Predictions:
        """Return its entities, with the labels and the Familiarity of types among the facts."""
        cost: dict[str, Any] = {}
        labels = asked_labels(self.labels, [*part.test, *part.dev])
        familiar = self.learnt.familiarity(labels)
        with timed(cost, "tag"):
            found = self.find(labels, part)
        found.facts.update({"seconds": cost} | ({"familiarity": familiar} if familiar else {}))
        return found

    def find(self, labels: Mapping[str, EntityLabel], part: CellSentences) -> Predictions:
        """Return its entities for the labels by type."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenOnly(_Told):
    """No tagger: finds texts that were a mention of a type of that name in training."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the digests of the training data."""
        return {**super(SeenOnly, self).facts, "seen": sorted(self.learnt.sha256.values())}

    def find(self, labels: Mapping[str, EntityLabel], part: CellSentences) -> Predictions:
        """Find known texts."""
        return Predictions(seen_entities(self.learnt.types(texts=True), labels, part.test), {"asked": _told(labels)},
                           sure=False)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotTagger(_Told):
    """A tagger as it is: its labels are given at run time, or it learnt types of its own (a distilled student, say)."""

    encoder: Encoder
    precision: str
    device: str
    shuffled: int | None = None
    """The seed for shuffling the names of types; None: no shuffling."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the tagger, and how it is asked."""
        how = {"precision": self.precision, "device": self.device, "shuffled": self.shuffled}
        return {**super(ZeroShotTagger, self).facts, "encoder": self.encoder.sha256, **how}

    def check_unchanged(self) -> None:
        """Raise NerbertError if the tagger, or what it learnt from, changed."""
        super(ZeroShotTagger, self).check_unchanged()
        self.encoder.check_unchanged()

    def find(self, labels: Mapping[str, EntityLabel], part: CellSentences) -> Predictions:
        """Ask for all types at once, and apply all thresholds to the answer."""
        labels = labels if self.shuffled is None else shuffled(labels, self.shuffled)
        folder = self.encoder.folder
        tagger = Tagger.load(folder, backend=ModelFolder(folder).backend, precision=self.precision, threads=1)
        head, types = tagger.head, {each.name: type_ for type_, each in labels.items()}
        facts: dict[str, Any] = {"asked": _told(labels), **self.encoder.facts}
        facts |= made_with_torch(self.device, self.precision)
        if tagger.types:  # these alone
            own = set(tagger.types)
            if mixed := [type_ for name, type_ in types.items() if name != type_ and {name, type_} <= own]:
                raise InputError(f"labels: the tagger has a type {mixed[0]!r:.80} itself; leave its label out")
            found = head.predict(part.test).at_least(tagger.thresholds, tagger.scaling)
            found.types[:] = [types.get(each, each) for each in found.types]
            return Predictions(found_entities(found, len(part.test), tagger.scaling), facts)

        def found_in(examples: Sequence[Example], least: float) -> Entities:
            found = head.for_labels(list(labels.values()), [least] * len(labels)).predict(examples)
            found.types[:] = [types[each] for each in found.types]
            return found

        facts["threshold"] = USUAL
        thresholds = {AT_OWN: uncalibrated(tagger.usual_threshold, tagger.temperature)}
        facts["own_threshold"] = thresholds[AT_OWN]
        if part.dev:
            best = best_threshold(found_in(part.dev, TRIED[0]), list(map(word_spans, part.dev)))
            thresholds[AT_DEV] = best.probability
            facts |= {"dev_threshold": best.probability, "dev_f1": best.f1}
        whole = found_in(part.test, min(USUAL, *thresholds.values()))
        usual, *others = (found_entities(above(whole, each), len(part.test)) for each in (USUAL, *thresholds.values()))
        return Predictions(usual, facts, others=dict(zip(thresholds, others, strict=True)))


def asked_labels(asked: Sequence[str], examples: Sequence[Example]) -> dict[str, EntityLabel]:
    """Return type → the label to ask for, in order; raise InputError for none, or a repeated one. Labels that differ
    only in case or underscores are one.
    """
    given = parse_type_labels(asked)
    types = list(given) or sorted({span.type for each in examples for span in each.spans})
    if not types:
        raise InputError("the sentences have no entity, so there is no type to ask for; list them (labels)")
    return labels_by_type(types, {each: given.get(each) or class_words(each) for each in types})


def shuffled(labels: Mapping[str, EntityLabel], seed: int) -> dict[str, EntityLabel]:
    """Return type → another type's label; raise InputError for a single type."""
    if len(labels) < 2:
        raise InputError("shuffled_labels: a single type can't be shuffled")
    order = sorted(labels, key=lambda name: uniform(seed, "shuffled labels", name))
    return {name: labels[other] for name, other in zip(order, order[1:] + order[:1], strict=True)}


def seen_entities(learnt: LearntTypes, labels: Mapping[str, EntityLabel], examples: Sequence[Example]) -> FoundEntities:
    """Return texts that had a type of a label's name in training as entities; raise InputError without texts."""
    if not learnt.texts:
        raise InputError("trained_on: contains no mention of a type, so no text can be found again")
    types = {normalised(label.name): type_ for type_, label in labels.items()}
    known = dict[str, str]()
    for text, counts in learnt.texts.items():
        asked = Counter({types[name]: count for name, count in counts.items() if name in types})
        if asked:
            known[text] = min(asked, key=lambda name: (-asked[name], name))
    longest = max(map(len, known), default=0)
    return [[(*span, None) for span in _matches(each.tokens, known, longest)] for each in examples]


def _matches(tokens: Sequence[str], known: Mapping[str, str], longest: int) -> Iterator[WordSpan]:
    """Yield known texts among words, from the left, the longest first."""
    start = 0
    while start < len(tokens):
        text, found = "", None
        for end in range(start, len(tokens)):
            text += tokens[end]
            if len(text) > longest:
                break
            if text in known:
                found = (start, end + 1, known[text])
        if found:
            yield found
        start = found[1] if found else start + 1


def _told(labels: Mapping[str, EntityLabel]) -> dict[str, str]:
    return {type_: label.text for type_, label in labels.items()}
