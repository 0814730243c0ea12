"""A benchmark's tables and the findings of a check, for people."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""The package's own templates, which extend nerbert's."""
