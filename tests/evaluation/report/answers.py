"""Taggers that answer as they are told, and gold sentences for them."""

import math
from collections.abc import Mapping, Sequence

from nerbert.formats.conll import example_of
from nerbert.model.heads import Entities, Head
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER

Found = tuple[int, int, str, float]
"""First word, word after the last, type, confidence."""


class ToldHead(Head):
    """Gives the entities that it was told, by the sentence's text."""

    usual_threshold, decoding, name, longest_text = 0.0, "legal", "told", 8

    def __init__(self, types: Sequence[str], answers: Mapping[str, Sequence[Found]]) -> None:
        self._types, self._answers = sorted(types), answers

    @property
    def types(self) -> list[str]:
        return self._types

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> Head:
        return Head.for_labels(self, labels, thresholds)

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of(
            [
                [
                    ((start, end, type_), math.log(sure / (1 - sure)))
                    for start, end, type_, sure in self._told(each.text)
                ]
                for each in examples
            ]
        )

    def _told(self, text: str) -> Sequence[Found]:
        return self._answers.get(text, ())


def told(types: Sequence[str] = ("port", "ship"), /, **answers: Sequence[Found]) -> Tagger:
    """Return a tagger that gives these answers to sentences, named by their first words."""
    texts = {each.tokens[0]: each.text for each in GOLD}
    return Tagger(ToldHead(types, {texts.get(name, name): found for name, found in answers.items()}), SPLITTER, "en")


GOLD = [
    example_of("Fram left New Oslo today .".split(), "B-ship O B-port I-port O O".split()),
    example_of("Gjoa and Maud sank .".split(), "B-ship O B-ship O O".split()),
    example_of("Nobody slept .".split(), "O O O".split()),
    example_of("Belgica sailed .".split(), "B-ship O O".split()),
]
"""Four sentences: five entities of two types."""
RIGHT: dict[str, Sequence[Found]] = {
    "Fram": [(0, 1, "ship", 0.9), (2, 4, "port", 0.8)],
    "Gjoa": [(0, 1, "ship", 0.7), (2, 3, "ship", 0.6)],
    "Belgica": [(0, 1, "ship", 0.55)],
}
WRONG: dict[str, Sequence[Found]] = {
    "Fram": [(0, 1, "port", 0.85), (3, 4, "port", 0.95)],
    "Gjoa": [(0, 1, "ship", 0.7)],
    "Nobody": [(0, 1, "ship", 0.3)],
}
"""Wrong type, wrong words, one right and one missed, a spurious one, and one missed."""
