"""Precision, recall and F1 on entities: an entity counts if its words and its type are exactly right.

`score_tags` takes the tags of a whole test set and uses columns. `score_spans` takes spans by sentence, in plain
Python, and also accepts overlapping spans.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from nerbert.errors import InputError
from nerbert.labels import WordSpan
from nerbert.metrics.columns import Mask, Pair, pair_of
from nerbert.metrics.counts import RULES, STRICT_RULES, Counts, Score


def score_tags(gold: Iterable[Iterable[str]], predicted: Iterable[Iterable[str]], *, strict: bool = False) -> Score:
    """Score BIO tags, one list per sentence; raise InputError for bad tags or different lengths.

    The result equals seqeval's default, or with `strict` its mode="strict", scheme=IOB2, where an I- that continues
    nothing is no entity. Types that begin or end with a dash differ: seqeval strips these dashes. If there are no
    entities, macro is NaN in seqeval and 0 here. `rules` names the rules.
    """
    pair = pair_of(gold, predicted)
    return score_pair(pair.strict(), STRICT_RULES) if strict else score_pair(pair)


def score_pair(pair: Pair, rules: str = RULES) -> Score:
    """Score two decoded taggings, over all types and by type."""
    right = pair.found.types[pair.found.within(pair.gold)]
    many = len(pair.types)
    columns = [np.bincount(each, minlength=many) for each in (right, pair.found.types, pair.gold.types)]
    by_number = [Counts(*row) for row in np.stack(columns, axis=1).tolist()]
    by_type = {name: counts for name, counts in zip(pair.types, by_number, strict=True) if counts != Counts()}
    return Score(right.size, pair.found.types.size, pair.gold.types.size, dict(sorted(by_type.items())), rules)


def count_where(pair: Pair, gold: Mask, found: Mask, *, typed: bool = True) -> Counts:
    """Count the entities that the masks keep; masks must treat a gold entity and its equal alike."""
    right = pair.found.within(pair.gold, typed=typed) & found
    return Counts(int(right.sum()), int(found.sum()), int(gold.sum()))


def score_spans(gold: Iterable[Iterable[WordSpan]], predicted: Iterable[Iterable[WordSpan]]) -> Score:
    """Score entities `(start, end, type)`, one iterable per sentence; raise InputError for different lengths."""
    right, found, wanted = Counter[str](), Counter[str](), Counter[str]()
    try:
        for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
            gold_set, predicted_set = set(gold_spans), set(predicted_spans)
            right.update(type_ for _, _, type_ in gold_set & predicted_set)
            found.update(type_ for _, _, type_ in predicted_set)
            wanted.update(type_ for _, _, type_ in gold_set)
    except ValueError:
        raise InputError("gold and predicted have different numbers of sentences") from None
    by_type = {t: Counts(right[t], found[t], wanted[t]) for t in sorted(found.keys() | wanted.keys())}
    return Score(right.total(), found.total(), wanted.total(), by_type)


def collapse_types(spans: Iterable[WordSpan]) -> list[WordSpan]:
    """Return the same spans with a single type, so that only boundaries matter."""
    return [(start, end, "span") for start, end, _ in spans]
