"""Precision, recall and F1 of entities, and further metrics of a tagger: pure functions, without torch."""
