"""Integrations of nerbert into other programs: one file each."""
