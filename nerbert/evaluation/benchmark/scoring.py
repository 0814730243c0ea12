"""The step that costs next to nothing: what a tagger said of each word becomes the scores of a cell."""

from collections.abc import Collection
from typing import Any

from nerbert.evaluation.benchmark.predictions import CellSentences, Predictions
from nerbert.labels import example_tags
from nerbert.metrics.judging import judge, seen_entities


def score_part(part: CellSentences, found: Predictions, twins: Collection[int]) -> dict[str, Any]:
    """Scores of raw greedy tags; `twins` are places of test sentences that stand in train, left out of a second score.

    Seen entities are those of the sentences that the cell trained on; what a source domain held doesn't count.
    """
    return judge(
        [example_tags(each) for each in part.test], found.tags,
        confidences=found.confidences, words=[each.tokens for each in part.test],
        seen=seen_entities(part.train), without=twins if part.whole_test else (),
    )  # fmt: skip
