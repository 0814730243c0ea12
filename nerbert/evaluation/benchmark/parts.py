"""What a cell trains on and what it tags: a subset against the test split, or the two parts of an episode."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nerbert.finetune.sampling import Kind, draw_episode, draw_subset, parse_size
from nerbert.records import Example


@dataclass(frozen=True, slots=True)
class Part:
    """Sentences to learn from and sentences to tag, and how they were chosen."""

    train: list[Example]
    test: list[Example]
    whole_test: bool
    """Whether these are the test split's sentences, all and in order; an episode's are not."""
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a tagger said of each word of the sentences to tag, raw, and how it was made."""

    tags: list[list[str]]
    confidences: list[list[float]]
    facts: dict[str, Any]


def draw_part(train: Sequence[Example], test: Sequence[Example], size: str, draw: int) -> Part:
    """The sentences of a cell: the same for every system, seed and protocol."""
    wanted = parse_size(size)
    if wanted.kind is Kind.EPISODE:
        episode = draw_episode(test, wanted.ways, wanted.shots, wanted.queries, draw)
        drawn = {
            "types": list(episode.types), "places": list(episode.support), "reached": episode.support_reached,
            "query_places": list(episode.query), "query_reached": episode.query_reached,
        }  # fmt: skip
        support, query = ([test[place] for place in places] for places in (episode.support, episode.query))
        return Part(support, query, False, _facts(support, query) | drawn)
    subset = draw_subset(train, wanted, draw)
    chosen = [train[place] for place in subset.places]
    places = {} if wanted.kind is Kind.ALL else {"places": list(subset.places)}
    facts = {"reached": subset.reached, "short": subset.short, **places}
    return Part(chosen, list(test), True, _facts(chosen, test) | facts)


def _facts(train: Sequence[Example], test: Sequence[Example]) -> dict[str, Any]:
    trained, asked = ({span.type for each in part for span in each.spans} for part in (train, test))
    counts = {"sentences": len(train), "test_sentences": len(test)}
    return counts | {"unknown_types": sorted(asked - trained)}
