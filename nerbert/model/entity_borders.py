"""Entities whose borders a tokenizer hides, so no model behind it can learn them: too few are found, and nothing fails.

A subword has one answer for all words that begin in it. Tokenizers of another language have one for a whole clause of a
script without spaces, mostly the unknown one; some of the language's own join a name and its particle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.terminal import percent, tell

_MOST = 2000
"""Examples that are looked at."""
_MANY = 0.05
"""From this share of the entities on there is a warning."""
_tell_once = cache(tell)


@dataclass(slots=True)
class EntityBorders:
    """Counts of entities: all; those that begin or end inside a subword; those of words that all are unknown."""

    entities: int = 0
    hidden: int = 0
    unknown: int = 0


def entity_borders(examples: Sequence[Example], pieces: SubwordTokenizer) -> EntityBorders:
    """Count the entities of examples, and those that the tokenizer hides."""
    found = EntityBorders()
    some = [each for each in examples if each.spans]
    joined, unknown = [set[int]() for _ in some], [set[int]() for _ in some]
    for window in pieces.windows(some):
        read = list(zip(window.words, window.positions, strict=True))
        joined[window.sentence].update(word for (_, before), (word, place) in pairwise(read) if place == before)
        unknown[window.sentence].update(
            word for word, place in read if window.ids[place] == pieces.tokenizer.unk_token_id
        )
    for example, joins, unknowns in zip(some, joined, unknown, strict=True):
        starts = {start: number for number, (start, _) in enumerate(example.words)}
        ends = {end: number for number, (_, end) in enumerate(example.words)}
        for span in example.spans:
            first, last = starts[span.start], ends[span.end]
            found.entities += 1
            found.hidden += first in joins or last + 1 in joins
            found.unknown += unknowns.issuperset(range(first, last + 1))
    return found


def tell_hidden_entities(examples: Sequence[Example], pieces: SubwordTokenizer, name: str) -> None:
    """Warn, once, where the tokenizer hides one in twenty entities of the examples or more; `name` is the data's."""
    found = entity_borders(examples[:_MOST], pieces)
    for count, why in (
        (found.hidden, "begin or end inside a subword, so the model can't tell them from the text around"),
        (found.unknown, "have only words that the tokenizer doesn't know, so they look alike to the model"),
    ):
        if count and count >= _MANY * found.entities:
            share = percent(count / found.entities)
            _tell_once(f"warning: {name}: {share} % of entities {why}; take an encoder of the texts' language")
