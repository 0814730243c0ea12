"""How sure a head is of each entity, at any temperature, and whether it is right: what calibration looks at.

An entity's confidence is the mean probability of its parts (`Entities`), for tags of words the softmax of each word's
logits at its tag. Only the logits of words in entities are kept, so all of a data set's fit into memory, and a
temperature is tried without the model. Of the ways to make one number of a word's that were tried, the mean with a
temperature fitted on entities is among the two best, and the simplest (docs/results/2026-11-21-calibration.md); a
product of the words' probabilities is the honest one only if words were independent, which they are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nerbert.labels import word_spans
from nerbert.metrics.calibration import cross_fit
from nerbert.metrics.score import Score, score_spans
from nerbert.model.heads import Entities, Head
from nerbert.records import Example
from nerbert.rng import Array

_PLACES = 4


@dataclass(frozen=True, slots=True)
class Predicted:
    """The entities that a head finds in annotated sentences, which of them are right, and their score.

    There were so many `examples`, read by the head's `decoding`.
    """

    entities: Entities
    right: Array
    score: Score
    examples: int
    decoding: str

    def scores_json(self) -> dict[str, Any]:
        """Return precision, recall and F1, over all entities and by type, as a card has them."""
        return {"sentences": self.examples, "decoding": self.decoding, **self.score.as_json()}

    def calibration_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the temperature fitted on these entities and the calibration errors; `data` says where they are from.

        `ece_after` is measured on parts of the sentences, each with the temperature of the others (`cross_fit`).
        Without any entity the temperature is 1 and nothing is measured.
        """
        fitted = cross_fit(self.entities.confidences, self.right, self.entities.examples)
        return {
            "temperature": round(fitted.temperature, _PLACES),
            "ece_before": round(fitted.before.ece, _PLACES), "ece_after": round(fitted.after.ece, _PLACES),
            "bins": fitted.before.bins, "folds": fitted.folds, "entities": fitted.before.entities,
            "sentences": self.examples, "decoding": self.decoding, "data": dict(data),
        }  # fmt: skip


def predict_entities(head: Head, examples: Sequence[Example]) -> Predicted:
    """Find the entities of annotated sentences, and look at each."""
    entities = head.predict(examples)
    gold, found = [word_spans(each) for each in examples], entities.word_spans(len(examples))
    right = [span in wanted for spans, wanted in zip(found, map(set, gold), strict=True) for span in spans]
    return Predicted(entities, np.array(right, bool), score_spans(gold, found), len(examples), head.decoding)
