"""Annotated data sets: known public ones, reading, checking, sampling, fetching."""
