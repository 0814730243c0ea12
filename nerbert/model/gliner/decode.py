"""Scores of spans or words → entities, the most probable first, each unless it overlaps one before it.

With `nested` one may hold another. Single words (`max_width` 1) are joined by `is_one_entity`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nerbert.labels import WordSpan
from nerbert.model.heads import Odds, is_one_entity
from nerbert.records import Example
from nerbert.rng import Array

DECODINGS = ("flat", "nested", "touching")


class Candidate(NamedTuple):
    """A span of words that may be an entity: its label's number, its log-odds and its probability."""

    start: int
    end: int
    label: int
    odds: float
    probability: float


def span_candidates(odds: Array, probabilities: Array, thresholds: Array) -> list[Candidate]:
    """Return what is above the labels' thresholds in (words, widths, labels): each span's likeliest label."""
    likely = np.where(probabilities > thresholds, probabilities, -1)
    best = likely.argmax(-1)
    starts, widths = np.nonzero(likely.max(-1, initial=-1) >= 0)
    labels = best[starts, widths]
    found = (starts, starts + widths + 1, labels, odds[starts, widths, labels], probabilities[starts, widths, labels])
    return list(map(Candidate._make, zip(*(each.tolist() for each in found), strict=True)))


def word_candidates(odds: Array, probabilities: Array, thresholds: Array) -> list[Candidate]:
    """Return the same of (words, labels, 3): log-odds of a word as first, last and inner one."""
    above = probabilities[..., :2] > thresholds[:, None]
    inner = probabilities[..., 2] >= thresholds
    found = list[Candidate]()
    for start, label in np.argwhere(above[..., 0] & inner).tolist():
        out = np.flatnonzero(~inner[start:, label])
        stop = start + int(out[0]) if out.size else len(inner)
        ends = start + np.flatnonzero(above[start:stop, label, 1])
        if not ends.size:
            continue
        least = np.minimum.accumulate(odds[start : int(ends[-1]) + 1, label, 2])[ends - start]
        least = np.minimum(np.minimum(least, odds[start, label, 0]), odds[ends, label, 1])
        places = np.minimum(np.minimum.accumulate(probabilities[start : int(ends[-1]) + 1, label, 2])[ends - start],
                            np.minimum(probabilities[start, label, 0], probabilities[ends, label, 1]))  # fmt: skip
        rows = zip(ends.tolist(), least.tolist(), places.tolist(), strict=True)
        found += [Candidate(start, end + 1, label, *rest) for end, *rest in rows]
    return found


def chosen_candidates(candidates: Sequence[Candidate], words: int, *, nested: bool) -> list[Candidate]:
    """Return the candidates that are entities, in order."""
    taken, kept = np.zeros(words, bool), list[Candidate]()
    for each in sorted(candidates, key=lambda one: (-one.probability, one.start)):
        here = slice(each.start, each.end)
        if taken[here].any() and not (nested and all(_may_both_be(each, other) for other in kept)):
            continue
        taken[here] = True
        kept.append(each)
    return sorted(kept, key=lambda one: (one.start, -one.end))


def _may_both_be(one: Candidate, other: Candidate) -> bool:
    if one[:2] == other[:2]:
        return False
    apart = one.end <= other.start or other.end <= one.start
    holds = one.start <= other.start and other.end <= one.end
    return apart or holds or (other.start <= one.start and one.end <= other.end)


def joined_words(
    example: Example, found: Sequence[Candidate], names: Sequence[str], *, touching: bool
) -> list[tuple[WordSpan, Odds]]:
    """Return entities of single words, each with those after it that are one entity with it."""
    groups = list[list[Candidate]]()
    for each in found:
        last = groups[-1][-1] if groups else None
        if last and last.label == each.label and is_one_entity(example, last.start, each.start, touching=touching):
            groups[-1].append(each)
        else:
            groups.append([each])
    return [((group[0].start, group[-1].end, names[group[0].label]), tuple(each.odds for each in group))
            for group in groups]  # fmt: skip
