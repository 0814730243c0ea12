"""How sure a tagger is of each entity, at any temperature, and whether it is right: what calibration looks at.

An entity's confidence is the mean of its words' probabilities, each the softmax of the word's logits at its tag
(`decode`). Only the logits of words in entities are kept, so all of a data set's fit into memory, and a temperature is
tried without the model. Of the ways to make one number of a word's that were tried, the mean with a temperature fitted
on entities is among the two best, and the simplest (docs/results/2026-11-21-calibration.md); a product of the words'
probabilities is the honest one only if words were independent, which they are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nerbert.labels import example_tags
from nerbert.metrics.calibration import cross_fit
from nerbert.metrics.columns import Columns, pair_of
from nerbert.metrics.score import Score, score_pair
from nerbert.model.predict import (
    MAX_TOKENS,
    Decoded,
    Scorer,
    TagClasses,
    WordScores,
    decode,
    probabilities,
    word_scores,
)
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.rng import Array

_CHUNK = 1000
"""Examples whose logits are held at once."""
_PLACES = 4


@dataclass(frozen=True, slots=True)
class Predicted:
    """The entities that a tagger finds in annotated sentences, in order.

    `types` and `right` are one an entity, `sentences` are the numbers of their sentences. `logits` (words, classes) are
    of the entities' words, `chosen` (words,) their classes, and `starts` says where each entity's words begin. There
    were so many `examples`, and tags were chosen by `decoding`.
    """

    types: list[str]
    right: Array
    sentences: Array
    logits: Array
    chosen: Array
    starts: Array
    score: Score
    examples: int
    decoding: str

    def confidences(self, temperature: float) -> Array:
        """Return the confidence (0–1) of each entity at a temperature."""
        if not self.starts.size:
            return np.zeros(0)
        sums = np.add.reduceat(probabilities(self.logits, self.chosen, temperature), self.starts)
        sure: Array = np.clip(sums / np.diff(self.starts, append=len(self.chosen)), 0.0, 1.0)
        return sure

    def scores_json(self) -> dict[str, Any]:
        """Return precision, recall and F1, over all entities and by type, as a card has them."""
        return {"sentences": self.examples, "decoding": self.decoding, **self.score.as_json()}

    def calibration_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the temperature fitted on these entities and the calibration errors; `data` says where they are from.

        `ece_after` is measured on parts of the sentences, each with the temperature of the others (`cross_fit`).
        Without any entity the temperature is 1 and nothing is measured.
        """
        fitted = cross_fit(self.confidences, self.right, self.sentences)
        return {
            "temperature": round(fitted.temperature, _PLACES),
            "ece_before": round(fitted.before.ece, _PLACES), "ece_after": round(fitted.after.ece, _PLACES),
            "bins": fitted.before.bins, "folds": fitted.folds, "entities": fitted.before.entities,
            "sentences": self.examples, "decoding": self.decoding, "data": dict(data),
        }  # fmt: skip


def predict_entities(
    scorer: Scorer, pieces: SubwordTokenizer, examples: Sequence[Example], names: Sequence[str], *,
    max_tokens: int = MAX_TOKENS, decoding: str = "legal",
) -> Predicted:  # fmt: skip
    """Tag annotated sentences, and look at each entity that is found."""
    classes = TagClasses(names)
    tags, words = list[list[str]](), list[tuple[Array, Array, Array]]()
    for start in range(0, len(examples), _CHUNK):
        some = examples[start : start + _CHUNK]
        scores = word_scores(scorer, pieces, some, len(names), max_tokens)
        found = decode(scores, classes, decoding)
        tags += (row.tags for row in found.rows(classes))
        words.append(_words_of_entities(scores, found, classes))
    pair = pair_of(map(example_tags, examples), tags)
    logits, chosen, lengths = (np.concatenate(parts) for parts in zip(*words, strict=True))
    return Predicted(
        types=[pair.types[number] for number in pair.found.types.tolist()],
        right=pair.found.within(pair.gold), sentences=pair.sentence_of(pair.found),
        logits=logits, chosen=chosen, starts=np.cumsum(lengths) - lengths,
        score=score_pair(pair), examples=len(examples), decoding=decoding,
    )  # fmt: skip


def _words_of_entities(scores: WordScores, found: Decoded, classes: TagClasses) -> tuple[Array, Array, Array]:
    """Return logits and classes of the words in entities, and how many words each entity has.

    A word that shares the piece of the word before has that one's.
    """
    row = np.full(scores.words, -1)
    row[scores.read] = np.arange(len(scores.read))
    entities = found.entities()
    rows = np.maximum.accumulate(row)[_words_in(entities)]
    order = np.argsort(classes.codes)
    chosen = order[np.searchsorted(classes.codes[order], found.codes[scores.read[rows]])]
    return scores.logits[rows], chosen, entities.ends - entities.starts


def _words_in(entities: Columns) -> Array:
    """Return the places of all words that stand in an entity."""
    lengths = entities.ends - entities.starts
    first = np.repeat(entities.starts - (np.cumsum(lengths) - lengths), lengths)
    places: Array = first + np.arange(len(first))
    return places
