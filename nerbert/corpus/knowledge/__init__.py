"""Titles → classes: sources of every kind are read into one table."""
