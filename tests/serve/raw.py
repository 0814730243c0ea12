"""Requests by parts, for what no client does."""

import json
from http.client import HTTPConnection
from typing import Any

from tests.serve.servers import Server


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
