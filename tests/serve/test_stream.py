"""JSON lines both ways."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from nerbert.errors import InputError
from nerbert.serve.app import Access, _Gate
from nerbert.serve.protocols.tag import split_lines
from tests.raised import raises
from tests.serve.conftest import Serve
from tests.serve.servers import Inside, Stream, assert_fault


def ask(client: httpx.Client, body: bytes, query: str = "labels=ship,port") -> list[dict[str, Any]]:
    """Send lines at once and return the lines of the answer."""
    answer = client.post(f"/tag/stream?{query}", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.text == "" or answer.text.endswith("\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in answer.text.splitlines()]


def lines(*rows: object) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def entities(row: dict[str, Any]) -> list[str]:
    return [span["text"] for span in row["spans"]]


def test_answers_are_in_order_and_keep_other_fields(client: httpx.Client) -> None:
    texts = [f"the ship {number} in Port {number}" if number % 3 else "none" for number in range(100)]
    rows = [{"id": number, "text": text, "deep": {"n": [number]}} for number, text in enumerate(texts)]
    answers = ask(client, lines(*rows))
    assert [entities(answer) for answer in answers] == [["ship", "Port"] if text != "none" else [] for text in texts]
    for answer in answers:
        del answer["spans"]
    assert answers == [
        {"id": number, "deep": {"n": [number]}, "characters": len(text), "read": len(text)}
        for number, text in enumerate(texts)
    ]


def test_a_bad_line_is_told_in_its_place(client: httpx.Client) -> None:
    bad = {"text": 3}, {"id": 9, "text": "a ship", "labels": []}, {"text": "a ship", "model": "none"}
    rows = ask(client, lines({"text": "a ship"}) + b"{\n\xff\n[]\n" + lines(*bad, {"text": "a port"}))
    assert [row.get("status") for row in rows] == [None, 422, 422, 422, 422, 422, 400, None]
    assert [row.get("line") for row in rows] == [1, 2, 3, 4, 5, None, 7, 8]
    assert rows[5]["id"] == 9
    assert all(set(row) <= {"line", "id", "error", "status"} for row in rows[1:-1])
    assert (entities(rows[0]), entities(rows[-1])) == (["ship"], ["port"])


def test_what_the_address_says_is_the_default(client: httpx.Client) -> None:
    rows = ask(
        client,
        lines(
            {"text": "🚢 a ship"},
            {"text": "🚢 a ship", "offsets": "characters"},
            {"text": "a SHIP", "thresholds": 0.95},
            {"text": "a Port, a SHIP, a ship", "labels": ["port"]},
            {"text": "a SHIP, a ship", "thresholds": None},
        ),
        "labels=ship&threshold=0.7&offsets=utf-16&model=told",
    )
    assert [entities(row) for row in rows] == [[], [], [], ["Port"], ["SHIP"]]
    rows = ask(
        client, lines({"text": "🚢 ship"}, {"text": "🚢 ship", "offsets": "bytes"}), "labels=ship&offsets=utf-16"
    )
    assert [row["spans"][0]["start"] for row in rows] == [3, 5]
    assert_fault(client.post("/tag/stream?offsets=miles", content=b""), 422, "offsets")
    assert_fault(client.post("/tag/stream?threshold=2", content=b""), 422, "threshold")


def test_a_line_is_answered_before_the_next_one_is_sent(server: Inside) -> None:
    with Stream(server) as stream:
        assert stream.status == 200
        for number in range(5):
            stream.send({"id": number, "text": "a ship"})
            assert stream.line()["id"] == number
        stream.send(b'{"text": "in two ')
        stream.send(b'parts, a port"}\n{"text": ""}\n')
        assert [entities(stream.line()), entities(stream.line())] == [["port"], []]
        assert stream.end() == b""


def test_a_line_that_is_too_long_ends_the_stream(server: Inside) -> None:
    with Stream(server) as stream:
        stream.send({"text": "a ship"})
        assert entities(stream.line()) == ["ship"]
        stream.send(b'{"text": "' + b"a" * (1 << 20))
        last = stream.line()
        assert (last["line"], last["status"]) == (2, 422)
        assert last["error"].startswith("a line of more than 1,048,576 bytes")


def test_a_line_may_be_as_long_as_the_limit() -> None:
    async def read(*parts: bytes) -> list[bytes]:
        async def content() -> AsyncIterator[bytes]:
            for part in parts:
                yield part

        return [line async for line in split_lines(content(), 5)]

    assert asyncio.run(read(b"1234", b"5\n12345")) == [b"12345\n", b"12345"]
    for parts in ([b"123456"], [b"12345", b"6\n"], [b"\n123456\n"]):
        with raises(InputError, "a line of more than 5 bytes"):
            asyncio.run(read(*parts))


def test_fields_that_come_back_or_are_refused(client: httpx.Client) -> None:
    """Large numbers and deep values; and a field may have the name of an answer's."""
    big, deep = b"9" * 400, b"[" * 5000 + b"]" * 5000
    body = b'\n\r\n{"id": %s, "text": "a ship"}\n{"id": %s, "text": "a ship"}\n{"id": NaN}\n' % (big, deep)
    one, other, strange, named = ask(
        client, body + lines({"text": "a ship", "error": "of the last run", "status": 500})
    )
    assert one["id"] == int(big)
    assert (other["status"], strange["status"], entities(named)) == (422, 422, ["ship"])
    assert not {"error", "status"} & set(named)


def test_an_unforeseen_error_is_one_line(serve: Serve) -> None:
    server = serve()
    server.breaks = True
    broken = {"text": "a ship", "labels": ["brokencost"]}, {"text": "a brokencode ship"}
    rows = ask(server.clients[0], lines(*broken, {"text": "a ship"}))
    assert [row.get("status") for row in rows] == [500, 500, None]
    server.logged("Traceback", 2)


def test_an_error_after_an_answer_has_begun_begins_no_other() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise InputError("too late")

    async def ask_gate() -> list[Any]:
        sent, metrics = list[Any](), SimpleNamespace(request=lambda *_: None)

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        gate = _Gate(breaks, SimpleNamespace(held=0, limits=SimpleNamespace(max_requests=1)), Access(), [], metrics)  # type: ignore[arg-type]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
        await gate(scope, receive, send)
        return sent

    assert [(each["type"], each["status"]) for each in asyncio.run(ask_gate())] == [("http.response.start", 200)]
