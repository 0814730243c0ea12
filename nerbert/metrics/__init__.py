"""Precision, recall and F1 of entities, and further metrics of a tagger: pure functions, without torch.

The rule is that of the CoNLL script on BIO tags (seqeval's default): an entity counts if its words and its type are
exactly right. Strict IOB2 is reported too; `rules` always names the rule. Figures are 0–1; a figure with a zero
denominator is 0.
"""

from nerbert.metrics.calibration import Calibration, calibrate
from nerbert.metrics.counts import RULES, STRICT_RULES, Counts, Macro, Score
from nerbert.metrics.error_types import Mistake, MistakeKind, find_mistakes
from nerbert.metrics.interval import Interval, bootstrap
from nerbert.metrics.judging import Judgement, assess, judge, seen_entities
from nerbert.metrics.score import collapse_types, score_spans, score_tags

__all__ = [
    "RULES",
    "STRICT_RULES",
    "Calibration",
    "Counts",
    "Interval",
    "Judgement",
    "Macro",
    "Mistake",
    "MistakeKind",
    "Score",
    "assess",
    "bootstrap",
    "calibrate",
    "collapse_types",
    "find_mistakes",
    "judge",
    "score_spans",
    "score_tags",
    "seen_entities",
]
