"""Fixtures for tests of fetching."""

from tests.sources.web_server import web

__all__ = ["web"]
