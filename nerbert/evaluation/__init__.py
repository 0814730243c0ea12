"""Tagger → scores."""
