"""Corpus → encoder."""
