"""Entities that a zero-shot tagger in training finds in a window, compared with the gold ones.

Each type is scored separately, and only where labels are known, so other types in a prompt change nothing. Limitation:
a tagger, which leaves no two entities overlapping, finds fewer.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nerbert.encoder.objectives.zero_shot.span_labels import WindowLabels
from nerbert.model.concept_table import ConceptTable
from nerbert.model.gliner.decode import chosen_candidates, span_candidates
from nerbert.rng import Array

THRESHOLD = 0.5
"""Probability that an entity must exceed."""


def count_right(odds: Array, window: WindowLabels, table: ConceptTable, asked: Array) -> Array:
    """Return how many entities are right, found and gold, of log-odds (words, widths, types)."""
    _, known = window.span_masks(table, asked, odds.shape[1])
    odds = np.where(known, odds, -np.inf)
    gold = set(window.spans(asked))
    candidates = span_candidates(odds, 1 / (1 + np.exp(-odds)), np.full(len(asked), THRESHOLD))
    found = set[tuple[int, int, int]]()
    for type_ in {each.label for each in candidates}:
        kept = chosen_candidates([each for each in candidates if each.label == type_], len(odds), nested=False)
        spans = [(each.start, each.end) for each in kept]
        found |= {(*span, type_) for span in (_joined(spans) if odds.shape[1] == 1 else spans)}
    return np.array([len(found & gold), len(found), len(gold)], np.float64)


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, adjacent ones as one."""
    breaks = [place for place, (one, other) in enumerate(pairwise(spans), 1) if one[1] != other[0]]
    edges = [0, *breaks, len(spans)]
    return [(spans[first][0], spans[last - 1][1]) for first, last in pairwise(edges)]
