"""Annotated data sets: what is known of them, reading and checking them, drawing samples, getting public ones."""
