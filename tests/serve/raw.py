"""HTTP by hand, for what no client does."""

import json
import socket
from http.client import HTTPResponse
from typing import Any

from tests.serve.servers import Server

OPENING = "POST /tag/stream?{} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The head of a request that streams; its query is to be filled in."""


def post(path: str, body: bytes, *headers: str, size: int | None = None) -> bytes:
    """Return the bytes of a request; `size` is what it says of its body's length."""
    length = len(body) if size is None else size
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of an answer."""
    response = HTTPResponse(connection)
    response.begin()
    with response:
        return response.status, response.read()


class Stream:
    """A request to /tag/stream whose lines are sent and read one by one."""

    def __init__(self, server: Server, query: str = "labels=ship,port") -> None:
        self._connection = server.connect()
        self._connection.sendall(OPENING.format(query).encode())
        self._answer = self._connection.makefile("rb")
        self.head = b"".join(iter(self._answer.readline, b"\r\n")).decode()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._connection.close()

    def send(self, content: bytes | dict[str, Any]) -> None:
        """Send a part of the body: bytes, or a line."""
        part = content if isinstance(content, bytes) else json.dumps(content).encode() + b"\n"
        self._connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))

    def end(self) -> None:
        """End the body."""
        self._connection.sendall(b"0\r\n\r\n")

    def part(self) -> bytes:
        """Return the next chunk of the answer; empty at its end."""
        size = int(self._answer.readline(), 16)
        part = self._answer.read(size)
        self._answer.readline()
        return part

    def line(self) -> dict[str, Any]:
        """Return the next line of the answer."""
        content: dict[str, Any] = json.loads(self.part())
        return content
