"""Encoder + examples → tagger."""
