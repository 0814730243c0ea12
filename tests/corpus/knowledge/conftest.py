"""Fixtures for tests of knowledge."""

from tests.fetch.web_server import web

__all__ = ["web"]
