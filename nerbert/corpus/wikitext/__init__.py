"""Wikitext → clean text with links."""
