"""A server for tests that answers like a language model, or misbehaves as it is told."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.sources.web_server import QuietHandler, listening


def passage_of(body: dict[str, Any]) -> str:
    """Return the passage that a request holds."""
    content: str = body["messages"][0]["content"]
    return content.rpartition("<passage>\n")[2].partition("\n</passage>")[0]


def first_word(passage: str) -> str:
    """Answer that the first word is a name, and the last one something else."""
    words = passage.strip(".").split()
    return f"{words[0]} <> name <> what someone is called\n{words[-1]} <> last word"


def completion(content: str | None, finish: str = "stop", **more: Any) -> bytes:
    """Return a whole answer of the protocol, of 100 and 10 tokens."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage} | more).encode()


@dataclass
class Request:
    """What the server was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def passage(self) -> str:
        return passage_of(self.body)


Mood = Callable[["Handler"], None]
"""How one request is answered."""


@dataclass
class ModelServer:
    """A server's next moods (of any request, or of those for a passage), and what it was asked."""

    address: str = ""
    label: Callable[[str], str] = first_word
    moods: list[Mood] = field(default_factory=list)
    always: Mood | None = None
    asked: list[Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def passages(self) -> list[str]:
        return [each.passage for each in self.asked]


class Handler(QuietHandler):
    """Answers one request."""

    server_state: ModelServer
    disable_nagle_algorithm = True  # head and body are sent apart

    def do_POST(self) -> None:  # noqa: N802
        state = self.server_state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        with state.lock:
            state.asked.append(request)
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
            mood = state.moods.pop(0) if state.moods else state.always or say(state.label(request.passage))
        with suppress(BrokenPipeError, ConnectionResetError):
            mood(self)
        with state.lock:
            state.at_once -= 1

    def send(self, status: int, data: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Type": kind, "Content_Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


def say(content: str | None, finish: str = "stop", **more: Any) -> Mood:
    return lambda handler: handler.send(200, completion(content, finish, **more))


def fail(status: int, message: str = "no", code: str = "", **headers: str) -> Mood:
    data = json.dumps({"error": {"message": message, "code": code}}).encode()
    return lambda handler: handler.send(status, data, **headers)


def send(data: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> Mood:
    return lambda handler: handler.send(status, data, kind, **headers)


def hang_up(handler: Handler) -> None:
    """Close the connection before any answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut_off(handler: Handler) -> None:
    """Close the connection in the middle of an answer."""
    data = completion("Ada <> name")
    handler.send(200, data[: len(data) // 2], Content_Length=str(len(data)))
    handler.wfile.flush()
    hang_up(handler)


def endless(status: int = 200) -> Mood:
    """Send spaces without end."""

    def mood(handler: Handler) -> None:
        handler.send(status, b"", Content_Length=str(1 << 40))
        handler.close_connection = True
        while not handler.server_state.ended.is_set():
            handler.wfile.write(b" " * 65536)

    return mood


def drip(handler: Handler) -> None:
    """Send a byte now and then, so that no single read waits long."""
    handler.send(200, b"", Content_Length="1000000")
    handler.close_connection = True
    while not handler.server_state.ended.wait(0.01):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def silent(handler: Handler) -> None:
    """Say nothing until the test ends."""
    handler.server_state.ended.wait()
    handler.close_connection = True


@contextmanager
def serving() -> Iterator[ModelServer]:
    """Provide a server."""
    state = ModelServer()
    with listening(Handler, server_state=state) as address:
        state.address = f"{address}/v1"
        try:
            yield state
        finally:
            state.ended.set()
