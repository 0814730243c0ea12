"""A server without a socket: requests go to the application as a web server would hand them over."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from nerbert.registry import PROTOCOLS
from nerbert.serve.app import Access, application
from nerbert.serve.metrics import Metrics
from nerbert.serve.protocol import Operation
from nerbert.serve.protocols import status
from nerbert.serve.service import Service, log
from nerbert.serve.settings import Limits
from nerbert.tagger.tagger import Tagger

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class HttpRequest:
    """A request as it comes: path and query as bytes, and the body in parts."""

    method: str
    path: bytes
    query: bytes = b""
    headers: Headers = ()
    parts: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class HttpAnswer:
    """An answer: status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class AsgiServer:
    """An application that runs in this thread's own event loop, only while it is asked."""

    def __init__(self, app: Any, operations: Sequence[Operation], runner: asyncio.Runner) -> None:
        self.app, self.operations, self.runner = app, operations, runner
        self.logged = list[str]()
        """Tracebacks in the server's log."""

    def ask(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request."""
        return self.runner.run(self._asked(request))

    async def _asked(self, request: HttpRequest) -> HttpAnswer:
        parts, sent = [*request.parts] or [b""], list[dict[str, Any]]()
        never = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not parts:
                await never.wait()  # the client stays
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": request.method, "scheme": "http", "path": unquote(request.path.decode("ascii")),
            "raw_path": request.path, "query_string": request.query, "root_path": "", "state": {},
            "headers": [(name.lower(), value) for name, value in request.headers],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        await self.app(scope, receive, send)
        assert [each["type"] for each in sent] == ["http.response.start"] + ["http.response.body"] * (len(sent) - 1)
        assert not sent[-1].get("more_body")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return HttpAnswer(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:]))


@contextmanager
def asgi_server(tagger: Tagger, labelling: Any = None, **limits: Any) -> Iterator[AsgiServer]:
    """Serve a tagger with all protocols until the block ends."""
    metrics = Metrics()
    service = Service({"told": "nowhere"}, lambda _: tagger, Limits(**limits), metrics.batch)
    operations = [each for name in PROTOCOLS for each in PROTOCOLS.find(name)()]
    operations += [*status.operations(metrics, reload=True), *(labelling.operations() if labelling else ())]
    app = application(service, operations, Access(), metrics, *([labelling.running] if labelling else []))
    with asyncio.Runner() as runner:
        found = AsgiServer(app, operations, runner)
        handler = LoggedErrors(found.logged)
        log.addHandler(handler)
        lifespan = runner.get_loop().create_task(_lifespan(app, start := asyncio.Event(), end := asyncio.Event()))
        runner.run(start.wait())
        try:
            yield found
        finally:
            end.set()
            runner.get_loop().run_until_complete(lifespan)
            log.removeHandler(handler)


async def _lifespan(app: Any, started: asyncio.Event, end: asyncio.Event) -> None:
    """Start an application, and stop it when it is to end."""
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        message = next(messages)
        if message == "lifespan.shutdown":
            await end.wait()
        return {"type": message}

    async def send(message: dict[str, Any]) -> None:
        assert message["type"] in ("lifespan.startup.complete", "lifespan.shutdown.complete"), message
        started.set()

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


class LoggedErrors(logging.Handler):
    """Keeps tracebacks."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a traceback."""
        self._kept.append(logging.Formatter().format(record))
