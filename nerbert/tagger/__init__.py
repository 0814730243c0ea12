"""Tagger → spans."""
