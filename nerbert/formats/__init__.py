"""Annotation formats, one a file."""
