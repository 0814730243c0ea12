"""Whatever is sent: an answer, or one line that says what is wrong."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import httpx
import pytest

from nerbert.serve.server import _listening
from tests.serve.conftest import Serve
from tests.serve.heads import DEADLINE
from tests.serve.raw import post, read_all, status_of
from tests.serve.servers import LABELS, Server, assert_fault

ASKED = json.dumps({"text": "a ship", "labels": LABELS}).encode()


@pytest.fixture(autouse=True)
def well_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shared server still answers after each test."""
    yield
    if "server" in request.fixturenames:
        server: Server = request.getfixturevalue("server")
        assert server.tag("a ship").status_code == 200
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(("body", "words"), [
    (b"", "it is cut off or damaged"), (b"{", "it is cut off or damaged"), (b"[]", "must be an object"),
    (b"null", "must be an object"),
    (b"\xff\xfe", "not JSON in UTF-8"), (b'{"text": "a \xc3 ship", "labels": ["ship"]}', "not JSON in UTF-8"),
    (rb'{"text": "a \ud800 ship", "labels": ["ship"]}', "not JSON"),
    (rb'{"text": "a", "labels": ["\udfff"]}', "not JSON"),
    (b'{"text": 3, "labels": ["ship"]}', "text"), (b'{"text": [["a"]], "labels": ["ship"]}', "text"),
    (b'{"text": {"a": 1}}', "text"), (b'{"text": null}', "text"), (b'{"labels": ["ship"]}', "text is missing"),
    (b'{"text": "a", "labels": "ship"}', "labels"), (b'{"text": "a", "labels": [1]}', "labels[0]"),
    (b'{"text": "a", "labels": []}', "none given"), (b'{"text": "a", "labels": ["ship", "ship"]}', "given twice"),
    (b'{"text": "a", "nested": "yes"}', "nested"), (b'{"text": "a", "thresholds": "0.5"}', "thresholds"),
    (b'{"text": "a", "thresholds": [0.5]}', "thresholds"), (b"[" * 100_000, "not JSON"),
    (b'{"text": "a", "thresholds": ' + b"9" * 100_000 + b"}", ""),
])  # fmt: skip
def test_bodies_of_the_wrong_kind(client: httpx.Client, body: bytes, words: str) -> None:
    assert_fault(client.post("/tag", content=body), 422, words)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "1.0001", "2e300"])
def test_numbers_out_of_bounds(client: httpx.Client, value: str) -> None:
    bodies = {
        "/tag": '{"text": "a", "labels": ["ship"], "thresholds": %s}', "/models/told?labels=ship&threshold=%s": "",
        "/gliner": '{"text": "a", "labels": ["ship"], "threshold": %s}',
        "/analyze": '{"text": "a", "language": "en", "entities": ["SHIP"], "score_threshold": %s}',
    }  # fmt: skip
    for path, body in bodies.items():
        answer = client.post(path % value if "%" in path else path, content=body % value if body else '{"inputs": "a"}')
        assert_fault(answer, answer.status_code, "threshold")
        assert answer.status_code in (400, 422)
    nested = b'{"text": "a", "labels": ["ship"], "thresholds": {"ship": %s}}' % value.encode()
    assert client.post("/tag", content=nested).status_code in (400, 422)


@pytest.mark.parametrize(
    "label", ["[SEP]", "[CLS]", "[MASK]", "<<ENT>>", "<<SEP>>", "[E]", "[P]", "</s>", "{label}", "%s", "<script>"]
)
def test_labels_that_mean_something_to_a_tokenizer(server: Server, label: str) -> None:
    """They are names as any other."""
    answer = server.tag("a ship", ["ship", label])
    assert answer.status_code == 200
    assert [each["type"] for each in answer.json()["results"][0]["spans"]] == ["ship"]


@pytest.mark.parametrize(
    "label", ["\0", "a\0b", "\x1b[2J", "\x07", "\x85x\x9b", "\u202eship", "", " ", "\u200b", ": what", "a" * 201]
)
def test_labels_that_are_none(server: Server, label: str) -> None:
    assert_fault(server.tag("a ship", [label]), 422, "label")
    answer = server.clients[0].post("/models/told", params={"labels": label or "\0"}, json={"inputs": "a ship"})
    assert_fault(answer, 422, "label")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "ship\0ship",
        "\x1b[2J ship",
        "\n" * 1000,
        "\u202e ship",
        "e" + "\u0301" * 5000,
        "[SEP] ship <<ENT>>",
        "𝕒" * 1000,
    ],
)
def test_any_text_is_answered(server: Server, text: str) -> None:
    (result,) = server.tag(text).json()["results"]
    assert result["characters"] == len(text)
    assert all(text[each["start"] : each["end"]] == each["text"] for each in result["spans"])


def test_more_than_is_allowed(server: Server) -> None:
    assert_fault(
        server.tag("a", [f"label {number}" for number in range(1000)]),
        422,
        "1,000 labels: one request may have at most 256",
    )
    assert_fault(server.tag(["a"] * 1025), 422, "1,025 texts: one request may have at most 1,024")
    assert server.tag("a", [f"label {number}" for number in range(256)]).status_code == 200


def test_a_text_that_is_too_long(serve: Serve) -> None:
    server = serve("--max-characters", 10)
    assert_fault(server.tag("a" * 11), 422, "text: 11 characters: at most 10 are allowed")
    assert_fault(server.tag(["a", "a" * 11]), 422, "text 1: 11 characters")
    assert server.tag("🚢" * 10).status_code == 200


def test_a_body_that_is_too_long(server: Server) -> None:
    big = b'{"text": "' + b"a" * 10_000_000 + b'"}'
    with server.client() as client:
        assert_fault(client.post("/tag", content=big), 413, "the body is longer than 1,048,576 bytes")
    with server.client() as client:
        parts = (big[start : start + 65_536] for start in range(0, len(big), 65_536))
        assert_fault(client.post("/tag", content=parts), 413, "the body is longer than 1,048,576 bytes")
    with closing(server.connect()) as connection:  # told before a byte of it has come
        connection.sendall(post("/tag", b"", size=10_000_000))
        assert status_of(connection.recv(1 << 16)) == 413


def test_a_refusal_reaches_clients_that_send_all_first(server: Server) -> None:
    """As urllib does, and GLiNER's client by it; of a small body it happens now and then, at any early refusal."""
    opener = build_opener(ProxyHandler({}))
    with pytest.raises(HTTPError) as refused:
        opener.open(f"{server.url}/gliner", b"a" * 10_000_000, timeout=DEADLINE)
    with refused.value as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    "path", ["/index.html", "/tags", "/tag/x", "/models/told/x", "/%00", "/..%2f..%2fetc/passwd", "/\u1234", "/models/"]
)
def test_unknown_paths(client: httpx.Client, path: str) -> None:
    assert_fault(client.get(path), 404, "Not Found")


def test_unknown_methods(client: httpx.Client) -> None:
    for method, path in (
        ("GET", "/tag"),
        ("PUT", "/tag"),
        ("DELETE", "/models"),
        ("OPTIONS", "/tag"),
        ("BREW", "/tag"),
    ):
        answer = client.request(method, path)
        assert_fault(answer, 405, "Method Not Allowed")
        assert answer.headers["allow"]
    assert client.head("/ready").status_code == 200
    assert_fault(client.post("/models/none?labels=a", json={"inputs": "a"}), 400, "model 'none'")
    assert_fault(client.post("/tag?model=" + "a" * 101, content=ASKED), 422, "model")


def test_packed_bodies_are_refused_and_answers_are_packed_when_asked(server: Server) -> None:
    import gzip

    client = server.clients[0]
    packed = gzip.compress(ASKED)
    for path in ("/tag", "/gliner", "/tag/stream"):
        assert_fault(client.post(path, content=packed, headers={"content-encoding": "gzip"}), 415, "packed")
    texts = ["a ship"] * 50
    plain = client.post("/tag", json={"text": texts, "labels": LABELS}, headers={"accept-encoding": "identity"})
    zipped = client.post("/tag", json={"text": texts, "labels": LABELS}, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.json() == plain.json()
    short = client.post("/tag", content=ASKED, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


def test_a_client_that_offers_http2(server: Server) -> None:
    """As Java's does, with a body."""
    with closing(server.connect()) as connection:
        connection.sendall(post("/tag", ASKED, "Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c",
                                "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"))  # fmt: skip
        answer = read_all(connection)
    assert status_of(answer) == 200
    assert b'"text":"ship"' in answer


HEAD = b"POST /tag HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("content", [
    b"\0\1\2\3", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /" + b"a" * 100_000, HEAD + b"Content-Length: -1\r\n\r\n",
    HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
])  # fmt: skip
def test_what_is_no_http(server: Server, content: bytes) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 431")


def test_a_request_has_a_number(client: httpx.Client) -> None:
    assert client.get("/ready", headers={"x-request-id": "mine-1.a:b"}).headers["x-request-id"] == "mine-1.a:b"
    for strange in ("a b", "a" * 65, "<b>"):
        assert re.fullmatch(
            "[0-9a-f]{16}", client.get("/ready", headers={"x-request-id": strange}).headers["x-request-id"]
        )


def test_what_the_model_does_not_foresee(serve: Serve) -> None:
    """The log says where; the client only that; others of the batch, and later requests, have their answers."""
    server = serve()
    server.breaks = True
    assert_fault(server.tag("a brokencode ship"), 500, "the server has an internal error; its log says more")
    assert server.log().count("ZeroDivisionError") == 1
    assert_fault(server.tag("a ship", ["brokencost"]), 500, "the server has an internal error; its log says more")
    assert server.log().count("Traceback") == 2
    assert server.tag("a ship").status_code == 200


def test_a_fault_of_the_model_is_in_the_log(serve: Serve) -> None:
    server = serve()
    server.breaks = True
    assert_fault(server.tag("a brokenmodel ship"), 500)
    server_log: Any = server.log()
    assert "no kernel" in server_log


def test_answers_are_sent_at_once() -> None:
    with _listening("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
