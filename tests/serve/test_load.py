"""Too much, too slow, and clients that hang up: the model waits at a gate while the test looks."""

import json
from contextlib import closing

import pytest

from tests.serve.conftest import Serve
from tests.serve.heads import until
from tests.serve.servers import LABELS, Inside, Stream, assert_fault, begun

LATE = "takes longer than this server's limit"


def asked(text: str) -> bytes:
    return json.dumps({"text": text, "labels": LABELS}).encode()


@pytest.fixture
def one_worker(serve: Serve) -> Inside:
    return serve(workers=1)


@pytest.mark.parametrize(
    ("limits", "queued", "text", "words"),
    [
        ({"max_waiting": 2}, 2, "a ship", "too many texts wait here (2)"),
        ({"max_waiting": 2}, 2, ["a ship"] * 3, "too many texts wait here (2)"),
        ({"max_requests": 1}, 0, "a ship", "1 requests are in progress"),
        ({"max_held": 300}, 0, "ship " * 45, "are in progress; try again later"),
    ],
)
def test_what_is_too_much_is_refused_at_once(
    serve: Serve, limits: dict[str, int], queued: int, text: object, words: str
) -> None:
    server = serve(workers=1, **limits)
    taken = [server.hold(), *(server.submit(f"ship {number}") for number in range(queued))]
    server.waiting(queued)
    for _ in range(3):
        assert_fault(server.tag(text), 429, words)  # the model is held: only a refusal can come
    assert [server.clients[0].get(path).status_code for path in ("/ready", "/healthz", "/health")] == [200] * 3
    server.gate.open()
    assert [request.result().status_code for request in taken] == [200] * len(taken)
    assert server.tag(text).status_code == 200


def test_those_that_wait_go_together(one_worker: Inside) -> None:
    """Each has its own answer, whatever labels the others have."""
    server, texts = one_worker, [f"a ship {number} in port" for number in range(12)]
    held = server.hold()
    queued = [server.submit(text, LABELS[: 1 + number % 2], thresholds=0.5) for number, text in enumerate(texts)]
    server.waiting(12)
    server.gate.open()
    held.result()
    for number, (text, request) in enumerate(zip(texts, queued, strict=True)):
        spans = request.result().json()["results"][0]["spans"]
        assert [span["type"] for span in spans] == LABELS[: 1 + number % 2]
        assert all(text[span["start"] : span["end"]] == span["text"] for span in spans)
    counts = server.clients[0].get("/metrics").text
    assert 'nerbert_batch_texts_bucket{le="8.0",model="told"} 1.0\n' in counts, "the held one, and one of 12"
    assert 'nerbert_batch_texts_sum{model="told"} 13.0\n' in counts


def test_texts_of_clients_that_hung_up_never_go_into_the_model(one_worker: Inside) -> None:
    server = one_worker
    held = server.hold()
    with closing(begun(server, asked("gone ship"), len(asked("gone ship")))), Stream(server) as stream:
        for number in range(3):
            stream.send({"text": f"gone ship {number}"})
        server.waiting(4)
    server.logged("POST /tag 499")
    server.logged("POST /tag/stream 499")
    last = server.submit("last ship")
    server.waiting(5)
    server.gate.open()
    assert [held.result().status_code, last.result().status_code] == [200, 200]
    server.waiting(0)
    assert server.gate.read()[1:] == ["hold ship", "last ship"]


def test_a_stream_waits_for_a_place(serve: Serve) -> None:
    """Its lines aren't refused where others fill the queue."""
    server = serve(workers=1, max_waiting=1)
    held, queued = server.hold(), server.submit("queued ship")
    server.waiting(1)
    with Stream(server) as stream:
        for number in range(50):
            stream.send({"id": number, "text": f"a ship {number}"})
        server.gate.open()
        assert [stream.line().get("id") for _ in range(50)] == list(range(50))
        assert stream.end() == b""
    assert [held.result().status_code, queued.result().status_code] == [200, 200]


def test_all_is_given_back_after_each_fault(serve: Serve) -> None:
    """Bytes and places: of answered, refused and late requests, of whose texts none goes into the model later."""
    server = serve(workers=1, max_waiting=4)
    faults = [
        server.tag("a ship"),
        server.tag(3),
        server.tag("a", labels=[]),
        server.clients[0].post("/tag", content=b"{"),
        server.clients[0].post("/tag/stream?labels=ship", content=b'{"text": "a ship"}\n{\n'),
        server.clients[0].post("/tag", content=b"a" * (1 << 21)),
    ]
    assert [fault.status_code for fault in faults] == [200, 422, 422, 422, 200, 413]
    server.idle()
    late = [server.hold(), *(server.submit("late ship") for _ in range(3))]
    server.waiting(3)
    with Stream(server) as stream:
        stream.send({"id": 1, "text": "late ship of a stream"})
        server.waiting(4)
        assert_fault(server.tag("a ship"), 429)
        server.advance(61)
        for request in late:
            assert_fault(request.result(), 504, LATE)
        line = stream.line()
        assert (line["id"], line["status"]) == (1, 504)
        assert stream.end() == b""
    server.gate.open()
    until(lambda: not server.gate.holding(), "the model goes on")
    assert server.tag("last ship").status_code == 200
    server.idle()
    assert not any(server.service.queue._costs.values())
    assert server.gate.read()[-2:] == ["hold ship", "last ship"]


def test_half_a_body_and_then_gone(one_worker: Inside) -> None:
    server = one_worker
    with closing(begun(server, asked("gone ship")[:10], 99)):
        until(lambda: server.service.held > 0, "a part of the body has come")
    server.idle()
    with Stream(server) as stream:
        stream.send(b'{"tex')
        until(lambda: server.service.held > 0, "a part of a line has come")
    server.idle()
    assert server.tag("last ship").status_code == 200
    server.idle()
