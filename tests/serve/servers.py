"""Servers for tests: `nerbert serve` in a process of its own, and what their tests share."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from nerbert.errors import InputError
from tests.serve.heads import DEADLINE, Gate, tagger_folder, until

ROOT = Path(__file__).parents[2]
HEAD = "--head", "tests.serve.heads:ToldKind"
LABELS = ["ship", "port"]
_ADDRESS = re.compile(r"address: (http://\S+)$", re.MULTILINE)


@dataclass
class Server:
    """A server's process, its address and its model's gate."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    output: Path
    gate: Gate
    url: str = ""
    breaks: bool = False
    """Whether tracebacks may be in its log."""
    clients: list[httpx.Client] = field(default_factory=list)

    def log(self) -> str:
        """Return what it wrote until now."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def client(self) -> httpx.Client:
        """Return a client that is closed with the server."""
        self.clients.append(httpx.Client(base_url=self.url, timeout=DEADLINE, trust_env=False))
        return self.clients[-1]

    def tag(self, text: object, labels: object = LABELS, **more: Any) -> httpx.Response:
        """Ask nerbert's own protocol."""
        return self.clients[0].post("/tag", json={"text": text, "labels": labels, **more})

    def connect(self) -> socket.socket:
        """Return a connection of its own."""
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=DEADLINE)

    def logged(self, words: str, count: int = 1, seconds: float = DEADLINE) -> None:
        """Wait until its log has some words."""
        until(lambda: self.log().count(words) >= count, f"{words!r} in the log", seconds)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(DEADLINE)


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
) -> Iterator[Server]:  # fmt: skip
    """Serve a folder, which is made unless it is there, until the block ends; its log may have no traceback."""
    folder = folder if folder.exists() else tagger_folder(folder)
    output = folder.parent / f"{folder.name}.log"
    asked = command(folder, *(HEAD if head else ()), *arguments)
    with output.open("wb") as log, subprocess.Popen(
        asked, cwd=cwd, env=environment(PYTHONPATH=str(ROOT), **variables), stdout=log, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        server = Server(process, folder, output, Gate(folder))
        try:
            until(lambda: _ADDRESS.search(server.log()) or process.poll() is not None, "the server's address")
            found = _ADDRESS.search(server.log())
            assert found, f"the server ended:\n{server.log()}"
            server.url = found[1]
            until(lambda: is_ready(server.client()), "the server is ready")
            yield server
        finally:
            server.gate.open()
            for each in server.clients:
                each.close()
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
    assert set(content) == {"error", "status", "request_id"}
    assert (content["status"], content["request_id"]) == (status, response.headers["x-request-id"])
    message: str = content["error"]
    assert message == str(InputError(message)), "not one safe line of bounded length"
    assert "Traceback" not in response.text
    assert words in message
    assert ("retry-after" in response.headers) == (status == 429)
    return message
