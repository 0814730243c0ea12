"""Annotation formats, one per file."""
