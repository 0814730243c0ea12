"""Annotated data sets: checking, fetching public ones, published episodes."""
