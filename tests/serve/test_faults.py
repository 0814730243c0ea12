"""Whatever is sent: an answer, or one line that says what is wrong."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import httpx
import pytest

from nerbert.serve.server import _open_socket
from tests.serve.conftest import Serve
from tests.serve.heads import DEADLINE
from tests.serve.servers import LABELS, Inside, assert_fault, begun

ASKED = json.dumps({"text": "a ship", "labels": LABELS}).encode()
INTERNAL = "the server has an internal error; its log says more"


@pytest.fixture(autouse=True)
def well_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shared server still answers after each test."""
    yield
    if "server" in request.fixturenames:
        server: Inside = request.getfixturevalue("server")
        assert server.tag("a ship").status_code == 200
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is cut off or damaged"),
        (b"[]", "must be an object"),
        (b"\xff\xfe", "not JSON in UTF-8"),
        (rb'{"text": "a \ud800 ship", "labels": ["ship"]}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"text": [["a"]], "labels": ["ship"]}', "text"),
        (b'{"labels": ["ship"]}', "text is missing"),
        (b'{"text": "a", "labels": [1]}', "labels[0]"),
        (b'{"text": "a", "labels": []}', "none given"),
        (b'{"text": "a", "labels": ["ship", "ship"]}', "given twice"),
        (b'{"text": "a", "thresholds": "0.5"}', "thresholds = '0.5': must be a valid number or an object"),
        (b'{"text": ["a", 5]}', "text[1] = 5: must be a valid string"),
        (b'{"text": "a", "thresholds": {"int": "x"}}', "thresholds"),
        (b'{"txt": "a", "labels": ["ship"]}', "text is missing; there is 'txt': did you mean 'text'?"),
        (b'{"text": "a", "label": ["ship"]}', "label: is no field: did you mean 'labels'?"),
        (b'{"text": "a", "colour": 1}', "colour: is no field"),
        (b"{'text': 'a'}", "a key without double quotes"),
        (b"ship", "no value at line 1"),
        (b"no", "a word without quotes"),
        (b'{"text": "a"} b', "text after the end"),
        (b'{"text": "a', "it ends inside"),
    ],
)
def test_bodies_of_the_wrong_kind(client: httpx.Client, body: bytes, words: str) -> None:
    assert_fault(client.post("/tag", content=body), 422, words)


def test_more_than_is_allowed(server: Inside, serve: Serve) -> None:
    labels = [f"label {number}" for number in range(1000)]
    assert_fault(server.tag("a", labels), 422, "1,000 labels: one request may have at most 256")
    assert_fault(server.tag(["a"] * 1025), 422, "1,025 texts: one request may have at most 1,024")
    assert server.tag("a", labels[:256]).status_code == 200
    short = serve(max_characters=10)
    assert_fault(short.tag("a" * 11), 422, "text: 11 characters: at most 10 are allowed")
    assert_fault(short.tag(["a", "a" * 11]), 422, "text 1: 11 characters")
    assert short.tag("🚢" * 10).status_code == 200


def test_a_body_that_is_too_long(server: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    big, words = b'{"text": "' + b"a" * 10_000_000 + b'"}', "the body is longer than 1,048,576 bytes"
    parts = (big[start : start + 65_536] for start in range(0, len(big), 65_536))
    for body in (big, parts):
        with server.client() as client:
            assert_fault(client.post("/tag", content=body), 413, words)
    opener = build_opener(ProxyHandler({}))  # as GLiNER's client by it: all is sent before the answer is read
    with pytest.raises(HTTPError) as refused:
        opener.open(f"{server.url}/gliner", big, timeout=DEADLINE)
    with refused.value as reply:
        assert reply.status == 413
    monkeypatch.setattr("nerbert.serve.app._DROPPING", 0.01)
    with closing(begun(server, b"", 10_000_000)) as connection:  # told before a byte of it has come
        assert connection.getresponse().status == 413


@pytest.mark.parametrize("path", ["/tags", "/tag/x", "/%00", "/..%2f..%2fetc/passwd", "/\u1234", "/models/"])
def test_unknown_paths(client: httpx.Client, path: str) -> None:
    assert_fault(client.get(path), 404, "Not Found")


def test_unknown_methods_and_models(client: httpx.Client) -> None:
    for method, path in (("GET", "/tag"), ("DELETE", "/models"), ("OPTIONS", "/tag"), ("BREW", "/tag")):
        answer = client.request(method, path)
        assert_fault(answer, 405, "Method Not Allowed")
        assert answer.headers["allow"]
    assert client.head("/ready").status_code == 200
    assert_fault(client.post("/models/none?labels=a", json={"inputs": "a"}), 400, "model 'none'")
    assert_fault(client.post("/tag?model=" + "a" * 101, content=ASKED), 422, "model")


def test_packed_bodies_are_refused_and_answers_are_packed_when_asked(client: httpx.Client) -> None:
    for path in ("/tag", "/gliner", "/tag/stream"):
        packed = client.post(path, content=gzip.compress(ASKED), headers={"content-encoding": "gzip"})
        assert_fault(packed, 415, "packed")
    many = json.dumps({"text": ["a ship"] * 50, "labels": LABELS})
    plain, zipped, short = (
        client.post("/tag", content=content, headers={"accept-encoding": coding})
        for content, coding in ((many, "identity"), (many, "gzip"), (ASKED, "gzip"))
    )
    assert [answer.headers.get("content-encoding") for answer in (plain, zipped, short)] == [None, "gzip", None]
    assert zipped.json() == plain.json()


def test_a_client_that_offers_http2(server: Inside) -> None:
    """As Java's does, with a body."""
    offer = {"Connection": "Upgrade, HTTP2-Settings, close", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMA"}
    with closing(begun(server, ASKED, len(ASKED), **offer)) as connection:
        answer = connection.getresponse()
        assert answer.status == 200
        assert b'"text":"ship"' in answer.read()


def test_a_request_has_a_number(client: httpx.Client) -> None:
    def number_of(given: str) -> str:
        return client.get("/ready", headers={"x-request-id": given}).headers["x-request-id"]

    assert number_of("mine-1.a:b") == "mine-1.a:b"
    for strange in ("a b", "a" * 65, "<b>"):
        assert re.fullmatch("[0-9a-f]{16}", number_of(strange))


def test_what_the_model_does_not_foresee(serve: Serve) -> None:
    """The log says where; the client only that; others of the batch, and later requests, have their answers."""
    server = serve()
    server.breaks = True
    assert_fault(server.tag("a brokencode ship"), 500, INTERNAL)
    assert server.log().count("ZeroDivisionError") == 1
    assert_fault(server.tag("a ship", ["brokencost"]), 500, INTERNAL)
    assert server.log().count("Traceback") == 2
    assert_fault(server.tag("a brokenmodel ship"), 500)
    assert "no kernel" in server.log()
    assert server.tag("a ship").status_code == 200


def test_answers_are_sent_at_once() -> None:
    with _open_socket("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
