"""Servers for tests: in a thread of the test's process, or `nerbert serve` in a process of its own."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import uvicorn

from nerbert.errors import InputError
from nerbert.metrics.calibration import Scaling
from nerbert.serve.app import Access, application
from nerbert.serve.protocol import PROTOCOLS, Lifespan, Operation
from nerbert.serve.protocols.status import Metrics
from nerbert.serve.routes import status_routes
from nerbert.serve.server import _open_socket
from nerbert.serve.service import Service, log
from nerbert.serve.settings import Limits
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.serve.heads import DEADLINE, Gate, ToldHead, tagger_folder, until

ROOT = Path(__file__).parents[2]
HEAD = "--head", "tests.serve.heads:ToldKind"
LABELS = ["ship", "port"]
_ADDRESS = re.compile(r"address: (http://\S+)$", re.MULTILINE)
_LOCAL = Access(local=True)


@dataclass
class Server:
    """A server, its model's gate and what it logged; `breaks`: tracebacks may be in its log."""

    url: str
    gate: Gate
    log: Callable[[], str]
    breaks: bool = False
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self) -> httpx.Client:
        """Return a client that is closed with the server."""
        self.clients.append(httpx.Client(base_url=self.url, timeout=DEADLINE, trust_env=False))
        return self.clients[-1]

    def tag(self, text: object, labels: object = LABELS, **more: Any) -> httpx.Response:
        """Ask nerbert's own protocol."""
        return self.clients[0].post("/tag", json={"text": text, "labels": labels, **more})

    def connection(self) -> HTTPConnection:
        """Return a connection for requests by hand."""
        url = httpx.URL(self.url)
        return HTTPConnection(url.host, url.port, timeout=DEADLINE)

    def logged(self, words: str, count: int = 1, seconds: float = DEADLINE) -> None:
        """Wait until its log has these words."""
        until(lambda: self.log().count(words) >= count, f"{words!r} in the log", seconds)


@dataclass
class Process(Server):
    """A server's process."""

    process: "subprocess.Popen[bytes]" = field(kw_only=True)
    folder: Path = field(kw_only=True)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(DEADLINE)


@dataclass
class Inside(Server):
    """A server in a thread of the test's process; its clock is the machine's, and can be set forward."""

    service: Service = field(kw_only=True)
    clock: "Clock" = field(kw_only=True)
    pool: ThreadPoolExecutor = field(kw_only=True)

    def submit(self, *given: Any, **more: Any) -> "Future[httpx.Response]":
        """Let a thread call `tag`."""
        return self.pool.submit(self.tag, *given, **more)

    def hold(self) -> "Future[httpx.Response]":
        """Keep a worker busy until the gate opens; return the request that it holds."""
        self.gate.close()
        held = self.submit("hold ship")
        self.gate.held()
        return held

    def waiting(self, count: int) -> None:
        """Wait until this many texts are in the queue."""
        until(lambda: len(self.service.queue) == count, f"{count} texts wait")

    def idle(self) -> None:
        """Wait until it holds nothing; fail if something stays."""
        until(lambda: (self.service.held, len(self.service.queue)) == (0, 0), "all is given back")

    def call(self, work: Any) -> Any:
        """Run a coroutine in its event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.service._loop).result(DEADLINE)

    def advance(self, seconds: float) -> None:
        """Set its clock forward, and let all run that is due then."""
        self.clock.ahead += seconds
        self.call(_turns(5))


@dataclass
class Clock:
    """The monotonic clock, set forward by some seconds."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def told(gate: Gate, temperature: float = 1.0) -> Tagger:
    """Return a tagger whose texts say what it does."""
    return Tagger(ToldHead.at(gate), SPLITTER, "en", scaling=Scaling(temperature))


def built(
    load: Callable[[str], Tagger],
    limits: Limits,
    name: str = "told",
    more: Sequence[Operation] = (),
    lifespan: Lifespan | None = None,
    access: Access = _LOCAL,
    protocols: Sequence[str] = (),
) -> tuple[Service, list[Operation], Any]:
    """Return a service, its operations and its application, as `nerbert.serve.server` makes them."""
    metrics = Metrics()
    service = Service({name: "nowhere"}, load, limits, metrics.batch)
    operations = [operation for protocol in (*PROTOCOLS, *protocols) for operation in PROTOCOLS.find(protocol)()]
    operations = [*more, *operations, *status_routes(metrics)]
    return service, operations, application(service, operations, access, metrics, lifespan)


@contextmanager
def inside(
    folder: Path,
    load: Callable[[Gate], Tagger] = told,
    *,
    name: str = "told",
    operations: Sequence[Operation] = (),
    lifespan: Lifespan | None = None,
    access: Access = _LOCAL,
    protocols: Sequence[str] = (),
    **limits: Any,
) -> Iterator[Inside]:
    """Serve a model from this process, as `nerbert.serve.server` does, until the block ends.

    A text may wait as long as it likes, and a client may take its time to read a refusal.
    """
    folder.mkdir()
    gate, clock, records = Gate(folder), Clock(), Records()
    limit = Limits(**{"deadline": 3_600_000, **limits})
    service, _, app = built(lambda _: load(gate), limit, name, operations, lifespan, access, protocols)
    one = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(limit.timeout) + 1,
        )
    )

    async def run() -> None:
        asyncio.get_running_loop().time = clock  # type: ignore[method-assign]
        await one.serve(sockets=[listening])

    with ExitStack() as stack:
        stack.enter_context(patch("nerbert.serve.service.milliseconds", lambda: clock() * 1000))
        stack.enter_context(patch("nerbert.serve.service._PAUSE", 0.001))
        stack.enter_context(patch("nerbert.serve.app._DROPPING", DEADLINE))
        for logger in (log, logging.getLogger("uvicorn.error")):
            stack.enter_context(patch.object(logger, "handlers", [records]))
        log.setLevel(logging.INFO)
        listening = stack.enter_context(_open_socket("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        pool = stack.enter_context(ThreadPoolExecutor(16))
        server = Inside(url, gate, records.text, service=service, clock=clock, pool=pool)
        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            until(lambda: one.started or not thread.is_alive(), "the server has started")
            server.client()
            yield server
        finally:
            gate.open()
            pool.shutdown()
            for client in server.clients:
                client.close()
            one.should_exit = True
            thread.join(DEADLINE)
    assert server.breaks or "Traceback" not in server.log(), server.log()


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a server."""
    kept = {name: value for name, value in os.environ.items() if name != "NERBERT_TOKEN"}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error", **more}


def command(*arguments: object) -> list[str]:
    """Return the command of a server at a free port."""
    return [sys.executable, "-m", "nerbert", "serve", *map(str, arguments), "--port", "0"]


@contextmanager
def serving(
    folder: Path, *arguments: object, head: bool = True, cwd: Path = ROOT, **variables: str
) -> Iterator[Process]:
    """Serve a folder, which is made unless it is there, until the block ends; its log may have no traceback."""
    folder = folder if folder.exists() else tagger_folder(folder)
    output = folder.parent / f"{folder.name}.log"
    asked = command(folder, *(HEAD if head else ()), *arguments)
    with (
        output.open("wb") as out,
        subprocess.Popen(
            asked, cwd=cwd, env=environment(PYTHONPATH=str(ROOT), **variables), stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):
        server = Process("", Gate(folder), lambda: output.read_text("utf-8", "replace"), process=process, folder=folder)
        try:
            until(lambda: _ADDRESS.search(server.log()) or process.poll() is not None, "the server's address")
            address = _ADDRESS.search(server.log())
            assert address, f"the server ended:\n{server.log()}"
            server.url = address[1]
            until(lambda: is_ready(server.client()), "the server is ready")
            yield server
        finally:
            server.gate.open()
            for client in server.clients:
                client.close()
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
            sys.stdout.write(server.log()[-20_000:])  # pytest shows it where a test fails
    assert server.breaks or "Traceback" not in server.log(), server.log()


def is_ready(client: httpx.Client) -> bool:
    """Return whether a server says that it is ready."""
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def assert_fault(response: httpx.Response, status: int, words: str = "") -> str:
    """Check that a response is an error in the one shape, and return its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    content = response.json()
    message: str = content["error"]
    assert content == {"error": message, "status": status, "request_id": response.headers["x-request-id"]}
    assert message == str(InputError(message)), "not one safe line of bounded length"
    assert "Traceback" not in response.text
    assert words in message
    assert ("retry-after" in response.headers) == (status == 429)
    return message


def begun(server: Server, body: bytes, size: int, path: str = "/tag", **headers: str) -> HTTPConnection:
    """Return a connection with the beginning of a request, which says that its body has so many bytes."""
    connection = server.connection()
    connection.request("POST", path, body, {"Content-Length": str(size), **headers})
    return connection


class Stream:
    """A request to /tag/stream whose lines are sent and read one by one."""

    def __init__(self, server: Server, query: str = "labels=ship,port") -> None:
        self._connection = server.connection()
        self._connection.putrequest("POST", f"/tag/stream?{query}")
        self._connection.putheader("Transfer-Encoding", "chunked")
        self._connection.endheaders()
        self._answer = self._connection.getresponse()
        self.status = self._answer.status

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._connection.close()

    def send(self, content: bytes | dict[str, Any]) -> None:
        """Send a part of the body: bytes, or a line."""
        part = content if isinstance(content, bytes) else json.dumps(content).encode() + b"\n"
        self._connection.send(b"%x\r\n%s\r\n" % (len(part), part))

    def end(self) -> bytes:
        """End the body, and return what is left of the answer."""
        self._connection.send(b"0\r\n\r\n")
        return self._answer.read()

    def line(self) -> dict[str, Any]:
        """Return the next line of the answer."""
        content: dict[str, Any] = json.loads(self._answer.readline())
        return content
