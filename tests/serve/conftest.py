"""Servers in the test's process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.serve.servers import Inside, inside

Serve = Callable[..., Inside]
"""Starts a server that the test's end stops: `serve(load, **limits)`."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A server of a told model, for tests that leave it as it was."""
    with inside(tmp_path_factory.mktemp("server") / "told") as running:
        yield running


@pytest.fixture
def client(server: Inside) -> httpx.Client:
    return server.clients[0]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda *given, **how: stack.enter_context(inside(tmp_path / "told", *given, **how))
