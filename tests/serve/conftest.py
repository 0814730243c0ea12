"""Servers: in a process of their own, and inside the test's."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.serve.heads import DEADLINE, Gate, ToldHead, until
from tests.serve.servers import Server, serving

Serve = Callable[..., Server]
"""Starts a server that the test's end stops: `serve(*options, **environment)`."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a told model, `told`, for tests that leave it as it was."""
    with serving(tmp_path_factory.mktemp("server") / "told") as found:
        yield found


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.clients[0]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """What starts a server of the test's own, of the folder `told` there."""
    with ExitStack() as stack:
        yield lambda *options, **more: stack.enter_context(serving(tmp_path / "told", *options, **more))


@dataclass
class Inside:
    """A server in a thread of the test's process: its service, its client, and the gate of its model."""

    service: Any
    client: httpx.Client
    gate: Gate

    def tag(self, text: object, **more: Any) -> httpx.Response:
        return self.client.post("/tag", json={"text": text, "labels": ["ship", "port"], **more})

    def idle(self) -> None:
        """Wait until it holds nothing; fail if something stays."""
        until(lambda: (self.service.held, len(self.service.queue)) == (0, 0), "all is given back")

    def call(self, work: Any) -> Any:
        """Run a coroutine in its event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.service._loop).result(DEADLINE)


def told(gate: Gate, temperature: float = 1.0) -> Tagger:
    """Return a tagger that is told by its texts what to do."""
    return Tagger(ToldHead.at(gate), SPLITTER, "en", temperature=temperature)


@pytest.fixture
def inside(tmp_path: Path) -> Callable[..., AbstractContextManager[Inside]]:
    """What serves a told model from this process, as `nerbert.serve.server` does: `inside(load, **limits)`."""
    (tmp_path / "gate").mkdir()
    gate = Gate(tmp_path / "gate")

    @contextmanager
    def run(load: Callable[[Gate], Tagger] = told, labelling: Any = None, **limits: Any) -> Iterator[Inside]:
        import uvicorn

        from nerbert.registry import PROTOCOLS
        from nerbert.serve.app import Access, application
        from nerbert.serve.metrics import Metrics
        from nerbert.serve.server import _listening
        from nerbert.serve.service import Service
        from nerbert.serve.settings import Limits

        metrics = Metrics()
        service = Service({"told": "nowhere"}, lambda _: load(gate), Limits(**limits), metrics.batch)
        operations = [each for name in PROTOCOLS for each in PROTOCOLS.find(name)()]
        operations += labelling.operations() if labelling else []
        app = application(service, operations, Access(), metrics, *([labelling.running] if labelling else []))
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        config = uvicorn.Config(app, http="h11", ws="none", lifespan="on", access_log=False, log_config=None)
        one = uvicorn.Server(config)
        with _listening("127.0.0.1", 0) as listening:
            thread = threading.Thread(target=lambda: asyncio.run(one.serve(sockets=[listening])))
            thread.start()
            try:
                until(lambda: one.started or not thread.is_alive(), "the server has started")
                url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                with httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False) as client:
                    yield Inside(service, client, gate)
            finally:
                gate.open()
                one.should_exit = True
                thread.join(DEADLINE)

    return run
