"""Annotated data sets: their splits, conversion, exclusion, and open types."""
