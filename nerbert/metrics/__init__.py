"""Precision, recall and F1 of entities, and other metrics of a tagger: pure functions, without torch."""
