"""Tagger → scores, tables and pictures."""
