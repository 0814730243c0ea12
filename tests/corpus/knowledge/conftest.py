"""Fixtures for tests of knowledge."""

from collections.abc import Iterator

import pytest

from tests.corpus.knowledge.web_server import Web, serving


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with the ontology and nothing else; no proxy stands before it."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as web:
        yield web
