"""The sentences of a cell: a subset against the test split, or the two parts of an episode.

The choice: a plan draws too, and a cell's key holds the places drawn instead of the sampler's code, so that an edit of
the sampler that draws the same changes no key. The price: what is drawn is read and drawn before the first cell runs.
"""

from collections.abc import Sequence
from typing import Any

from nerbert.evaluation.benchmark.hashes import key_of
from nerbert.evaluation.benchmark.predictions import CellSentences
from nerbert.finetuning.episodes import draw_episode
from nerbert.finetuning.sampling import draw_subset
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.records import Example


def draw_part(train: Sequence[Example], test: Sequence[Example], size: str, draw: int) -> CellSentences:
    """The sentences of a cell: the same for every system, seed and protocol."""
    wanted = parse_size(size)
    if wanted.kind is SizeUnit.EPISODE:
        episode = draw_episode(test, wanted.ways, wanted.shots, wanted.queries, draw)
        drawn = {
            "types": list(episode.types), "places": list(episode.support), "reached": episode.support_reached,
            "query_places": list(episode.query), "query_reached": episode.query_reached,
        }  # fmt: skip
        support, query = ([test[place] for place in places] for places in (episode.support, episode.query))
        return CellSentences(support, query, False, _facts(support, query) | drawn)
    subset = draw_subset(train, wanted, draw)
    chosen = [train[place] for place in subset.places]
    places = {} if wanted.kind is SizeUnit.ALL else {"places": list(subset.places)}
    facts = {"reached": subset.reached, "short": subset.short, **places}
    return CellSentences(chosen, list(test), True, _facts(chosen, test) | facts)


def draw_digest(examples: Sequence[Example], size: str, draw: int) -> str:
    """What is drawn, as a digest of places; `examples` are the split that is drawn from (an episode's is test)."""
    facts = draw_part(examples, examples, size, draw).facts
    return key_of("draw", places=facts.get("places"), query_places=facts.get("query_places"))


def _facts(train: Sequence[Example], test: Sequence[Example]) -> dict[str, Any]:
    trained, asked = ({span.type for each in part for span in each.spans} for part in (train, test))
    counts = {"sentences": len(train), "test_sentences": len(test)}
    return counts | {"unknown_types": sorted(asked - trained)}
