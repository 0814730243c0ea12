"""Too much, too slow, and clients that hang up: the model waits at a gate while the test looks."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from nerbert.serve.queue import QueuedBatch, Ticket
from tests.serve.conftest import Serve
from tests.serve.heads import until
from tests.serve.raw import OPENING, Stream, answer, post
from tests.serve.servers import LABELS, Server, assert_fault

Answer = Future[httpx.Response]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as found:
        yield found


@pytest.fixture
def serve(pool: ThreadPoolExecutor, serve: Serve) -> Serve:
    """The same, but what waits in the pool for its answers ends after the servers."""
    return serve


def waiting(server: Server, count: int) -> None:
    """Wait until so many texts are in the queue."""
    line = f"nerbert_waiting_texts {count}.0\n"
    until(lambda: line in server.clients[0].get("/metrics").text, f"{count} texts wait")


def hold(server: Server, pool: ThreadPoolExecutor, batches: int = 1) -> list[Answer]:
    """Let so many workers be busy until the gate opens."""
    server.gate.close()
    found = []
    for number in range(batches):
        found.append(pool.submit(server.tag, f"hold ship {number}"))
        server.gate.held(number + 1)
    return found


def asked(text: str) -> bytes:
    return json.dumps({"text": text, "labels": LABELS}).encode()


def test_too_many_texts_are_refused_at_once(serve: Serve, pool: ThreadPoolExecutor) -> None:
    server = serve("--workers", 1, "--max-waiting", 2)
    held = hold(server, pool)
    queued = [pool.submit(server.tag, f"ship {number}") for number in range(2)]
    waiting(server, 2)
    for _ in range(3):
        answer = server.tag("a ship")  # the model is held: only a refusal can come
        assert_fault(answer, 429, "too many texts wait here (2)")
        assert int(answer.headers["retry-after"]) >= 1
    assert_fault(server.tag(["a ship"] * 3), 429)
    assert server.clients[0].get("/ready").status_code == 200
    server.gate.open()
    assert [each.result().status_code for each in (*held, *queued)] == [200] * 3
    assert server.tag("a ship").status_code == 200


def test_too_many_requests_are_refused_at_once(serve: Serve, pool: ThreadPoolExecutor) -> None:
    server = serve("--workers", 1, "--max-requests", 1)
    (held,) = hold(server, pool)
    answer = server.tag("a ship")
    assert_fault(answer, 429, "1 requests are in progress")
    assert [server.clients[0].get(path).status_code for path in ("/ready", "/healthz", "/health")] == [200] * 3
    server.gate.open()
    assert held.result().status_code == 200
    assert server.tag("a ship").status_code == 200


def test_bodies_that_are_too_long_together_are_refused(serve: Serve, pool: ThreadPoolExecutor) -> None:
    server = serve("--workers", 1, "--max-held", 300)
    (held,) = hold(server, pool)
    assert_fault(server.tag("ship " * 50), 429, "are in progress; try again later")
    server.gate.open()
    assert held.result().status_code == 200
    assert server.tag("ship " * 40).status_code == 200


def test_those_that_wait_go_together(serve: Serve, pool: ThreadPoolExecutor) -> None:
    """Each has its own answer, whatever labels the others have."""
    server = serve("--workers", 1)
    (held,) = hold(server, pool)
    texts = [f"a ship {number} in port" for number in range(12)]
    queued = [pool.submit(server.tag, text, LABELS[: 1 + number % 2], thresholds=0.5)
              for number, text in enumerate(texts)]  # fmt: skip
    waiting(server, 12)
    server.gate.open()
    held.result()
    for number, (text, one) in enumerate(zip(texts, queued, strict=True)):
        spans = one.result().json()["results"][0]["spans"]
        assert [each["type"] for each in spans] == LABELS[: 1 + number % 2]
        assert all(text[each["start"] : each["end"]] == each["text"] for each in spans)
    counts = server.clients[0].get("/metrics").text
    assert 'nerbert_batch_texts_bucket{le="8.0",model="told"} 1.0\n' in counts, "the held one, and one of 12"
    assert 'nerbert_batch_texts_sum{model="told"} 13.0\n' in counts


def test_the_text_of_a_client_that_hung_up_never_goes_into_the_model(serve: Serve, pool: ThreadPoolExecutor) -> None:
    server = serve("--workers", 1)
    (held,) = hold(server, pool)
    with closing(server.connect()) as connection:
        connection.sendall(post("/tag", asked("gone ship")))
        waiting(server, 1)
    server.logged("POST /tag 499")
    last = pool.submit(server.tag, "last ship")
    waiting(server, 2)
    server.gate.open()
    assert [each.result().status_code for each in (held, last)] == [200, 200]
    waiting(server, 0)
    assert "last ship" in server.gate.read()
    assert "gone ship" not in server.gate.read()


def test_the_lines_of_a_stream_whose_client_hung_up_never_go_into_the_model(
    serve: Serve, pool: ThreadPoolExecutor
) -> None:
    server = serve("--workers", 1)
    (held,) = hold(server, pool)
    with Stream(server) as stream:
        for number in range(3):
            stream.send({"text": f"gone ship {number}"})
        waiting(server, 3)
    server.logged("POST /tag/stream 499", seconds=5)
    last = pool.submit(server.tag, "last ship")
    server.gate.open()
    assert [each.result().status_code for each in (held, last)] == [200, 200]
    assert not [each for each in server.gate.read() if each.startswith("gone ship")]


def test_a_stream_waits_for_a_place(serve: Serve, pool: ThreadPoolExecutor) -> None:
    """Its lines aren't refused where others fill the queue."""
    server = serve("--workers", 1, "--max-waiting", 1)
    (held,) = hold(server, pool)
    queued = pool.submit(server.tag, "queued ship")
    waiting(server, 1)
    with Stream(server) as stream:
        for number in range(50):
            stream.send({"id": number, "text": f"a ship {number}"})
        stream.end()
        server.gate.open()
        assert [stream.line().get("id") for _ in range(50)] == list(range(50))
        assert stream.part() == b""
    assert [each.result().status_code for each in (held, queued)] == [200, 200]


def test_an_answer_that_takes_too_long(serve: Serve, pool: ThreadPoolExecutor) -> None:
    server = serve("--workers", 1, "--timeout", 1)
    (held,) = hold(server, pool)
    queued = pool.submit(server.tag, "late ship")
    for each in (held, queued):
        assert_fault(each.result(), 504, "takes longer than this server's limit")
    with Stream(server) as stream:
        stream.send({"id": 1, "text": "late ship of a stream"})
        stream.end()
        late = stream.line()
        assert (late["id"], late["status"], stream.part()) == (1, 504, b"")
    server.gate.open()
    until(lambda: not server.gate.holding(), "the model goes on")
    assert server.tag("last ship").status_code == 200
    assert not [each for each in server.gate.read() if each.startswith("late ship")]


def test_half_a_body_and_then_nothing(serve: Serve) -> None:
    server = serve("--timeout", 1)
    body = asked("half a ship")
    with closing(server.connect()) as connection:
        connection.sendall(post("/tag", body[:10], size=len(body)))
        status, content = answer(connection)
    assert (status, json.loads(content)["error"]) == (408, "the body didn't come to its end in time")
    with Stream(server) as stream:
        stream.send(b'{"text": "half')
        last = stream.line()
        assert (last["status"], stream.part()) == (504, b"")


def test_half_a_head_and_then_nothing(serve: Serve) -> None:
    server = serve("--timeout", 1)
    with closing(server.connect()) as connection:
        connection.settimeout(4)
        connection.sendall(b"POST /tag HTTP/1.1\r\nHost: localhost\r\n")
        assert connection.recv(1 << 16)[:12] in (b"", b"HTTP/1.1 408")


def test_half_a_body_and_then_gone(inside: Callable[..., Any]) -> None:
    with inside(workers=1) as server:
        url = server.client.base_url
        line = OPENING.format("labels=ship").encode() + b'5\r\n{"tex\r\n'
        for request in (post("/tag", asked("gone ship")[:10], size=99), line):
            with closing(socket.create_connection((url.host, url.port))) as connection:
                connection.sendall(request)
                until(lambda: server.service.held > 0, "a part of the body has come")
            server.idle()
        assert server.tag("last ship").status_code == 200
        server.idle()


def test_all_is_given_back_after_each_fault(inside: Callable[..., Any], pool: ThreadPoolExecutor) -> None:
    """Bytes and places: of answered, refused, cancelled and late requests."""
    with inside(workers=1, timeout=1, max_waiting=4) as server:
        faults = [server.tag("a ship"), server.tag(3), server.tag("a", labels=[]),
                  server.client.post("/tag", content=b"{"),
                  server.client.post("/tag/stream?labels=ship", content=b'{"text": "a ship"}\n{\n'),
                  server.client.post("/tag", content=b"a" * (1 << 21))]  # fmt: skip
        assert [each.status_code for each in faults] == [200, 422, 422, 422, 200, 413]
        server.idle()
        server.gate.close()
        many = [pool.submit(server.tag, f"hold ship {number}") for number in range(12)]
        statuses = sorted(each.result().status_code for each in many)
        assert set(statuses) <= {429, 504}
        assert statuses.count(504) >= 5, "one in the model, four that wait"
        server.gate.open()
        until(lambda: not server.gate.holding(), "the model goes on")
        server.tag("last ship")
        server.idle()
        assert not any(server.service.queue._costs.values())
        assert threading.active_count() < 100


def test_one_slow_batch_does_not_refuse_all_later_texts(inside: Callable[..., Any]) -> None:
    """As after a pause of the machine; the pace is measured again only if a text is let in."""
    with inside(workers=1) as server:
        assert server.tag("a ship").status_code == 200
        queue, group = server.service.queue, server.service.find().group
        batch = QueuedBatch([Ticket(group, None, 3, 0, 0)], 0, 3)
        with server.service._changed:
            for _ in range(9):
                queue._running.append(batch)
                queue.done(batch, 600_000)
        assert 200 in [server.tag("a ship").status_code for _ in range(20)]


def test_too_many_connections_are_refused_at_once(serve: Serve) -> None:
    server = serve("--max-requests", 1)
    server.clients[0].close()
    with closing(server.connect()), closing(server.connect()), closing(server.connect()) as third:
        third.settimeout(4)
        third.sendall(b"POST /tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        read = third.makefile("rb").read()
    head, _, body = read.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 1\r\n" in head
    assert json.loads(body)["status"] == 429


def test_clients_that_read_nothing_are_left(serve: Serve) -> None:
    """One that sends lines and reads no answers isn't read from for ever, and then left."""
    server = serve("--timeout", 1)
    with closing(server.connect()) as connection:
        connection.settimeout(4)
        connection.sendall(OPENING.format("labels=ship").encode())
        line = json.dumps({"text": "ship", "more": "a" * 10_000}).encode() + b"\n"
        chunk = b"%x\r\n%s\r\n" % (len(line), line)
        try:
            for _ in range(100_000):
                connection.sendall(chunk)
            pytest.fail("a gigabyte was read")
        except (BrokenPipeError, ConnectionResetError):
            pass
    server.logged("POST /tag/stream 499")
    assert server.tag("a ship").status_code == 200
