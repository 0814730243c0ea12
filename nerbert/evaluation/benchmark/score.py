"""The sentences of a cell, and its scores: pure functions, the same for every system."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nerbert.evaluation.benchmark.cells import CellSentences, FoundEntities, Predictions
from nerbert.finetuning.sampling import SizeUnit, draw_episode, draw_subset, parse_size
from nerbert.labels import WordSpan, bio_from_spans, example_tags
from nerbert.metrics.judging import assess, seen_entities, without_types
from nerbert.metrics.score import Counts, pair_of, score_boundaries, score_pair
from nerbert.records import Example


def draw_part(train: Sequence[Example], test: Sequence[Example], size: str, draw: int) -> CellSentences:
    """Return the sentences of a cell: a subset and the scored split, or the two parts of an episode.

    They are the same for every system, seed and protocol.
    """
    wanted = parse_size(size)
    if wanted.kind is SizeUnit.EPISODE:
        episode = draw_episode(test, wanted.ways, wanted.shots, wanted.queries, draw)
        drawn: dict[str, Any] = {
            "types": list(episode.types), "places": list(episode.support), "reached": episode.support_reached,
            "query_places": list(episode.query), "query_reached": episode.query_reached,
        }  # fmt: skip
        chosen, asked = ([test[place] for place in places] for places in (episode.support, episode.query))
    elif wanted.kind is SizeUnit.ZERO:
        return CellSentences([], list(test), {"sentences": 0, "test_sentences": len(test)})
    else:
        subset = draw_subset(train, wanted, draw)
        chosen, asked = [train[place] for place in subset.places], list(test)
        drawn = {"reached": subset.reached, "short": subset.short}
        drawn |= {} if wanted.kind is SizeUnit.ALL else {"places": list(subset.places)}
    trained, tested = ({span.type for each in part for span in each.spans} for part in (chosen, asked))
    facts = {"sentences": len(chosen), "test_sentences": len(asked), "unknown_types": sorted(tested - trained)}
    return CellSentences(chosen, asked, facts | drawn)


def score_part(part: CellSentences, found: Predictions, else_types: Collection[str] = ()) -> dict[str, Any]:
    """Return the scores of a cell: of the tags that users get, and F1 of the greedy tags. A second score leaves out
    duplicates of train sentences. Seen entities are those of the sentences that the cell trained on; a source domain
    doesn't count. `type_accuracy` is the share of entities with the right words whose type is right, too. Further
    scores, if they apply: without else types, and of each further reading.
    """
    gold = [example_tags(each) for each in part.test]
    tags, sure = _tags(part.test, found.entities)
    judged = assess(
        gold, tags, confidences=sure if found.sure else None, words=[each.tokens for each in part.test],
        seen=seen_entities(part.train) if part.train else None, without=part.duplicates,
    )  # fmt: skip
    pair = pair_of(gold, found.greedy or tags)
    greedy, strict = (Counts.as_json(score_pair(each)) for each in (pair, pair.strict()))
    more = {"without_else": without_types(gold, tags, else_types).as_json()} if else_types else {}
    for name, entities in found.others.items():
        pair = pair_of(gold, _tags(part.test, entities)[0])
        typed, spans = Counts.as_json(score_pair(pair)), score_boundaries(pair).as_json()
        more[name] = {**typed, "span": spans, **_type_accuracy(typed, spans)}
    scores = judged.as_json() | {"greedy": greedy | {"strict": strict}} | more
    return scores | _type_accuracy(scores["micro"], scores["span"])


def _type_accuracy(typed: Mapping[str, Any], spans: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of right spans whose type is right; nothing without a right span."""
    return {"type_accuracy": typed["right"] / spans["right"]} if spans["right"] else {}


def _tags(examples: Sequence[Example], found: FoundEntities) -> tuple[list[list[str]], list[list[float]]]:
    """Return the tags of words by the outermost entities, and their confidences, 1 where a system says none."""
    tags, sure = [], [[1.0] * len(each.words) for each in examples]
    for number, entities in enumerate(found):
        outer = list[WordSpan]()
        for start, end, type_, confidence in entities:
            if not outer or outer[-1][1] <= start:
                outer.append((start, end, type_))
                sure[number][start:end] = [1.0 if confidence is None else confidence] * (end - start)
        tags.append(bio_from_spans(len(examples[number].words), outer))
    return tags, sure
