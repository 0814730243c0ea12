"""Fixtures for tests of knowledge."""

from tests.sources.web_server import web

__all__ = ["web"]
