"""A web server for tests that drops, lies, changes its mind or is busy, as it is told."""

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.knowledge.addresses import list_addresses
from nerbert.errors import NerbertError
from nerbert.sources.download import FETCHED, Address, fetch
from nerbert.sources.remote import RetryPolicy

DATE = "Tue, 01 Jul 2025 10:00:00 GMT"
OLD = "Sun, 01 Jun 2025 10:00:00 GMT"
STEP = 1 << 10
BODY = b"<?xml version='1.0'?>" + random.Random(1).randbytes(10 * STEP + 123)
OTHER = b"<mediawiki>" + random.Random(2).randbytes(11 * STEP)
PLACE = "/dbpedia/extraction-framework/master/ontology.xml"
ONTOLOGY = list_addresses("en")[0]


@dataclass
class Mood:
    """How one answer is given; each field but `cut` replaces a part of an honest one."""

    cut: int | None = None  # bytes of the body after which the connection is closed
    status: int = 0
    headers: dict[str, str | None] = field(default_factory=dict)
    ranges: bool = True
    body: bytes | None = None
    chunked: bool = False
    put: bytes | None = None  # what the file is from now on


@dataclass
class Web:
    """A server's files, the moods of its next answers by path, and what it was asked."""

    files: dict[str, bytes]
    moods: dict[str, list[Mood]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    address: str = ""

    def ranges(self, place: str = PLACE) -> list[str]:
        return [wanted for path, wanted in self.asked if path == place]


class QuietHandler(BaseHTTPRequestHandler):
    """Keeps connections, logs nothing, and has one date."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return DATE


class Handler(QuietHandler):
    web: Web

    def do_HEAD(self) -> None:
        """Answer as to the next request for the content, which has the same mood."""
        self.do_GET()

    def do_GET(self) -> None:
        web, wanted, head = self.web, self.headers.get("Range", ""), self.command == "HEAD"
        moods = web.moods.get(self.path, [])
        mood = (moods[0] if head else moods.pop(0)) if moods else Mood()
        if not head:
            web.asked.append((self.path, wanted))
        if mood.put is not None and not head:
            web.files[self.path] = mood.put
        data = web.files.get(self.path)
        status, headers, part = self._honest(data, wanted if mood.ranges else "")
        part = part if mood.body is None else mood.body
        if mood.status in (206, 200):
            headers.setdefault("Content-Range", "")
        headers |= {"Content-Length": str(len(part))} | mood.headers
        self.send_response(mood.status or status)
        for name, value in headers.items():
            if value and not (mood.chunked and name == "Content-Length"):
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked") if mood.chunked else None
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if head:
            return
        cut = part if mood.cut is None else part[: mood.cut]
        web.sent += len(cut)
        if mood.chunked:
            cut = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (cut[:999], cut[999:]) if each)
            cut += b"0\r\n\r\n" if mood.cut is None else b""
        self.wfile.write(cut)

    def _honest(self, data: bytes | None, wanted: str) -> tuple[int, dict[str, str | None], bytes]:
        if data is None:
            return 404, {}, b"not here"
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        headers: dict[str, str | None] = {"ETag": tag, "Last-Modified": OLD}
        if not wanted:
            return 200, headers, data
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(len(data), int(last or len(data)) + 1)
        if start >= len(data):
            return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
        return 206, headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}, data[start:stop]


@contextmanager
def listening(handler: type[QuietHandler], **state: object) -> Iterator[str]:
    """A server whose handlers have this state: its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), state))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serving() -> Iterator[Web]:
    """A server with the ontology and nothing else."""
    web = Web({PLACE: BODY})
    with listening(Handler, web=web) as web.address:
        yield web


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with the ontology and nothing else; no proxy stands before it."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as web:
        yield web


def place(address: Address) -> str:
    return address.at("").address.partition("//")[2].partition("/")[1] + address.address.split("/", 3)[3]


def get(web: Web, output: Path, addresses: list[Address] | None = None, **more: Any) -> list[str]:
    """Fetch with even pauses; those that were made are in `more["slept"]` if given."""
    slept = more.pop("slept", [])
    policy = RetryPolicy(**{"jitter": 0.0, "sleep": slept.append} | more)
    return list(fetch(addresses or [ONTOLOGY], output, web.address, policy))


def names(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir())


def whole(output: Path, data: bytes = BODY) -> bool:
    """Whether the ontology is there, with its record, and nothing else."""
    told = json.loads((output / FETCHED).read_text())["files"]["ontology.xml"]
    good = told["size"] == len(data) and told["sha256"] == hashlib.sha256(data).hexdigest()
    return (output / "ontology.xml").read_bytes() == data and good and names(output) == [FETCHED, "ontology.xml"]


def fails(kind: type[NerbertError], web: Web, output: Path, *words: str, **more: Any) -> None:
    with pytest.raises(kind) as raised:
        get(web, output, **more)
    assert all(word in str(raised.value) for word in words), str(raised.value)
