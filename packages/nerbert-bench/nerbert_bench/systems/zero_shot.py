"""Zero-shot systems: they get the names of a target's types, all in one prompt, without training on the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nerbert.entity_labels import parse_type_labels
from nerbert.errors import InputError
from nerbert.evaluation.evaluate import labels_by_type
from nerbert.labels import class_words, types_of_examples, word_spans
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Entities
from nerbert.model.threshold_fit import TRIED, USUAL, above, best_threshold
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert_bench import keys
from nerbert_bench.cells import CellSentences, Predictions, found_entities, made_with_torch, time_step
from nerbert_bench.systems.finetuned import Encoder

AT_OWN, AT_DEV = "at_own_threshold", "best_on_dev"
"""Keys, in a cell's scores, of the predictions at other thresholds than 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotTagger:
    """An unchanged tagger, with labels at run time or fixed types (e.g. a distilled student); equal for all seeds."""

    encoder: Encoder
    precision: str
    device: str
    labels: tuple[str, ...] = ()
    """The types to ask for, `TYPE=label` or `TYPE` each; default: all types of the sentences."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the tagger's digest and the inputs and settings of its predictions."""
        settings = {"precision": self.precision, "device": self.device, "labels": list(self.labels)}
        code = {"code": (keys.ASKING, keys.TRAINING, keys.SCORING)}
        # `trained_on` is always empty by now; older cells keep their keys by it.
        return {**code, **settings, "encoder": self.encoder.sha256, "trained_on": []}

    def read_digests(self) -> "ZeroShotTagger":
        """Return the system with its encoder in its current state."""
        return replace(self, encoder=Encoder.find(self.encoder.name))

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return the scored split, and dev for the best threshold."""
        return split, "dev"

    def predict(self, part: CellSentences, sources: Path) -> Predictions:
        """Predict all types at once, and apply all thresholds to the result."""
        cost: dict[str, Any] = {}
        # Dev's types, too: its best threshold is for the same prompt.
        labels = asked_labels(self.labels, [*part.test, *part.dev])
        with time_step(cost, "tag"):
            predictions = self._find(labels, part)
        asked = {type_: label.text for type_, label in labels.items()}
        origin = made_with_torch(self.device, self.precision)
        predictions.facts.update(seconds=cost, asked=asked, **self.encoder.facts, **origin)
        return predictions

    def _find(self, labels: Mapping[str, EntityLabel], part: CellSentences) -> Predictions:
        folder = self.encoder.folder
        tagger = Tagger.load(folder, backend=ModelFolder(folder).backend, precision=self.precision, threads=1)
        head = tagger.head
        types = {label.name: type_ for type_, label in labels.items()}
        # A tagger with fixed types, such as a distilled student.
        if tagger.types:
            learnt = set(tagger.types)
            # With `PER=person` and a tagger that has both, two types would be scored as one.
            if mixed := [type_ for name, type_ in types.items() if name != type_ and {name, type_} <= learnt]:
                raise InputError(f"labels: the tagger has a type {mixed[0]!r:.80} itself; leave its label out")
            entities = head.predict(part.test).at_least(tagger.thresholds, tagger.scaling)
            entities.types[:] = [types.get(name, name) for name in entities.types]
            return Predictions(found_entities(entities, len(part.test), tagger.scaling), {})

        def found_in(examples: Sequence[Example], least: float) -> Entities:
            entities = head.for_labels(list(labels.values()), [least] * len(labels)).predict(examples)
            entities.types[:] = [types[name] for name in entities.types]
            return entities

        # The tagger's threshold is of calibrated confidences; the predictions here are not calibrated.
        thresholds = {AT_OWN: tagger.scaling.undo(tagger.usual_threshold)}
        facts: dict[str, Any] = {"threshold": USUAL, "own_threshold": thresholds[AT_OWN]}
        if part.dev:
            best = best_threshold(found_in(part.dev, TRIED[0]), list(map(word_spans, part.dev)))
            thresholds[AT_DEV] = best.probability
            facts |= {"dev_threshold": best.probability, "dev_f1": best.f1}
        # A higher threshold only removes entities, so one pass at the lowest serves all of them.
        entities = found_in(part.test, min(USUAL, *thresholds.values()))
        read = [above(entities, threshold) for threshold in (USUAL, *thresholds.values())]
        usual, *others = (found_entities(entities, len(part.test)) for entities in read)
        return Predictions(usual, facts, others=dict(zip(thresholds, others, strict=True)))


def asked_labels(texts: Sequence[str], examples: Sequence[Example]) -> dict[str, EntityLabel]:
    """Return type → label to ask for, in order; raise InputError for no types, or two with the same label."""
    given = parse_type_labels(texts)
    types = list(given) or types_of_examples(examples)
    if not types:
        raise InputError("the sentences have no entity, so there is no type to ask for; list them (labels)")
    return labels_by_type(types, {type_: given.get(type_) or class_words(type_) for type_ in types})
