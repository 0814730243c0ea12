"""Fixtures for tests of the corpus."""

from tests.sources.web_server import web

__all__ = ["web"]
