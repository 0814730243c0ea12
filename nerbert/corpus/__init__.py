"""Dump → silver corpus."""
