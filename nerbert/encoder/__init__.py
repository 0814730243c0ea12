"""Corpus → encoder; and what cuts, scores and decodes with one."""
