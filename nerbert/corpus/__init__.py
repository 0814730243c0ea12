"""Build a silver corpus from a Wikipedia dump."""
