"""Precision, recall and F1 of entities, and further metrics of a tagger: pure functions, without torch.

The rule is that of the CoNLL script on BIO tags (seqeval's default): an entity counts if its words and its type are
exactly right. Strict IOB2 is reported too; `rules` always names the rule. Figures are 0–1; a figure with a zero
denominator is 0.
"""
