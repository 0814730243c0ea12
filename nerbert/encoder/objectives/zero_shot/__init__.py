"""Entities of types given by name (GLiNER, Zaratiana et al. 2024)."""
