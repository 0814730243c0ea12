"""Entities of types that a model is told by name (GLiNER, Zaratiana et al. 2024)."""
