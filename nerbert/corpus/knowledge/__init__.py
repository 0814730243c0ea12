"""Titles → classes: every kind of source, read into one table."""
