"""Entities whose borders a tokenizer hides: a subword has one label for all words that begin in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.terminal import percent, tell

_MOST = 2000
"""Examples that are looked at."""
_MANY = 0.05
"""From this share of the entities on there is a warning."""
_tell_once = cache(tell)
_Place = tuple[int, int]
"""The number of a window, and the place of a subword in it."""


@dataclass(slots=True)
class EntityBorders:
    """Counts of entities: all that are read; hidden ones; those whose words all are read off the unknown subword.

    One is hidden if it begins or ends inside a subword, or with a word that no subword is read off for.
    """

    entities: int = 0
    hidden: int = 0
    unknown: int = 0


def entity_borders(examples: Sequence[Example], pieces: SubwordTokenizer) -> EntityBorders:
    """Count the entities of examples, and those that the tokenizer hides; entities that cut a word are skipped."""
    found = EntityBorders()
    some = [each for each in examples if each.spans]
    places = [dict[int, _Place]() for _ in some]
    unknown = set[_Place]()
    for number, window in enumerate(pieces.windows(some)):
        for word, place in zip(window.words, window.positions, strict=True):
            places[window.sentence][word] = number, place
            if window.ids[place] == pieces.tokenizer.unk_token_id:
                unknown.add((number, place))
    for example, of_words in zip(some, places, strict=True):
        starts = {start: number for number, (start, _) in enumerate(example.words)}
        ends = {end: number for number, (_, end) in enumerate(example.words)}
        for span in example.spans:
            if span.start in starts and span.end in ends:
                _count(found, range(starts[span.start], ends[span.end] + 1), of_words, unknown)
    return found


def _count(found: EntityBorders, words: range, of_words: Mapping[int, _Place], unknown: set[_Place]) -> None:
    """Count an entity of some words; one in no window doesn't count."""
    inside = {of_words[word] for word in words if word in of_words}
    if inside:
        found.entities += 1
        outside = {place for word, place in of_words.items() if word not in words}
        alone = words[0] in of_words and words[-1] in of_words and inside.isdisjoint(outside)
        found.hidden += not alone
        found.unknown += inside <= unknown


def tell_hidden_entities(examples: Sequence[Example], pieces: SubwordTokenizer, name: str) -> None:
    """Warn, once, where the tokenizer hides one in twenty entities of the data `name` or more."""
    if pieces.word_by_word:
        return
    found = entity_borders(examples[:_MOST], pieces)
    for count, why in (
        (found.hidden, "begin or end inside a subword, so the model can't tell them from the text around"),
        (found.unknown, "have only words that the tokenizer doesn't know, so they look the same to the model"),
    ):
        if count and count >= _MANY * found.entities:
            share = percent(count / found.entities)
            _tell_once(f"warning: {name}: {share} % of entities {why}; use an encoder whose subwords fit the language")
