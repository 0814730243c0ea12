"""Precision, recall and F1 on entities, and what else is said of a tagger: pure functions, without torch.

The rule is the CoNLL script's on BIO tags (seqeval's default): an entity counts if its words and its type are exactly
right. Strict IOB2 stands beside it; `rules` always says which. Figures are 0–1; a figure with a zero denominator is 0.
"""
