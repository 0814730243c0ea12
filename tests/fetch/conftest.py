"""Fixtures for tests of fetching."""

from tests.fetch.web_server import web

__all__ = ["web"]
