"""Clients of `nerbert serve` that do wrong: slow ones, bodies cut off, too long or broken, and clients that leave.

Each fault is a coroutine that is given a host's port and returns what came of it; for serving_soak.py.
"""

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from soak_requests import post

Outcome = tuple[str, bool]
"""What happened, and whether it is allowed; 429 and 504 always are."""
NONE = "no answer"
_TEXT = json.dumps({"text": "Brass sextant, signed Quibell & Drace; owned by the pilot Hinnerk Oltbeker."}).encode()
_BIG = b'{"text": "' + b"a ship " * 800_000 + b'"}'
_RESET = struct.pack("ii", 1, 0)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection, and close it in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Return an answer's status, headers and body; raise OSError or EOFError where it isn't whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    body = b""
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif "transfer-encoding" not in headers:
        body = await reader.read()
    else:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    return int(first.split()[1]), headers, body


async def _asked(port: int, content: bytes, *allowed: int) -> Outcome:
    async with connected(port) as (reader, writer):
        with suppress(ConnectionError):  # refused while it is sent: the answer is there
            writer.write(content)
            await writer.drain()
        status, _, _ = await answer(reader)
        return str(status), status in (*allowed, 429, 504)


async def _trickled(port: int, content: bytes, rest: bytes, *allowed: int) -> Outcome:
    """Send something, then a byte each second until something comes back."""
    async with connected(port) as (reader, writer):
        writer.write(content)
        coming = asyncio.ensure_future(answer(reader))
        try:
            for each in rest:
                await asyncio.wait({coming}, timeout=1)
                if coming.done():
                    break
                writer.write(bytes([each]))
            status, _, _ = await coming
        except (OSError, EOFError):
            return NONE, False
        finally:
            coming.cancel()
        return str(status), status in (*allowed, 429, 504)


async def slow_body(port: int) -> Outcome:
    """Send the last ten bytes slowly, yet in time."""
    whole = post("/tag", _TEXT)
    return await _trickled(port, whole[:-10], whole[-10:], 200)


async def too_slow_body(port: int) -> Outcome:
    """Send a body so slowly that it is given up."""
    return await _trickled(port, post("/tag", b"", len(_TEXT)), _TEXT)


async def slow_head(port: int) -> Outcome:
    """Send all slowly, the head too: it is answered, or the body is given up."""
    return await _trickled(port, b"", post("/tag", _TEXT), 200)


async def slow_stream(port: int) -> Outcome:
    """Send lines of a stream byte by byte."""
    head = b"POST /tag/stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(port) as (reader, writer):
        writer.write(head + b"%x\r\n%s\n\r\n" % (len(_TEXT) + 1, _TEXT))
        for each in b'{"text": "a"}\n':
            await asyncio.sleep(1)
            writer.write(b"1\r\n%c\r\n" % each)
        writer.write(b"0\r\n\r\n")
        status, _, body = await answer(reader)
        lines = [json.loads(each) for each in body.splitlines()]
        good = [each.get("status", 200) in (200, 504) for each in lines]
        return f"{status}, {len(lines)} lines", len(lines) == 2 and all(good)


async def slow_reader(port: int) -> Outcome:
    """Read a long answer in small parts, with a small buffer of its own."""
    body = json.dumps({"text": [f"A sextant by Quibell & Drace, {number}." for number in range(400)]}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, post("/tag", body))
        found = b""
        while b"\r\n\r\n" not in found or len(found.partition(b"\r\n\r\n")[2]) < _length(found):
            part = await loop.sock_recv(connection, 4096)
            if not part:
                return f"{len(found):,} bytes", False
            found += part
            await asyncio.sleep(0.2)
        status = found.split(b" ", 2)[1].decode()
        return status, status in {"200", "429", "504"}


def _length(found: bytes) -> int:
    return int(found.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def half_body(port: int) -> Outcome:
    """Send half of a body, and hang up."""
    async with connected(port) as (_, writer):
        writer.write(post("/tag", _TEXT[: len(_TEXT) // 2], len(_TEXT)))
        await writer.drain()
    return NONE, True


async def half_stream(port: int) -> Outcome:
    """Send half of a chunk of a stream, and hang up."""
    async with connected(port) as (_, writer):
        writer.write(b"POST /tag/stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%s" % (len(_TEXT) * 2, _TEXT))
        await writer.drain()
    return NONE, True


async def huge_body(port: int) -> Outcome:
    """Send a body of more bytes than are allowed."""
    return await _asked(port, post("/tag", _BIG), 413)


async def huge_chunked_body(port: int) -> Outcome:
    """Send a body of more bytes than are allowed, whose length isn't said before."""
    head = b"POST /tag HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = (_BIG[start : start + 65_536] for start in range(0, len(_BIG), 65_536))
    return await _asked(port, head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in parts), 413)


async def long_text(port: int) -> Outcome:
    """Send a text of more characters than are allowed."""
    return await _asked(port, post("/tag", json.dumps({"text": "ship " * 40_000}).encode()), 422)


async def broken_json(port: int) -> Outcome:
    """Send what is no JSON, or not the right one."""
    bodies = (b"", b"{", _TEXT[:-1], b'{"text": 3}', b"[" * 10_000, b'{"text": "\xff"}', rb'{"text": "\ud800"}')
    return await _asked(port, post("/tag", random.choice(bodies)), 422)  # noqa: S311


async def wrong_request(port: int) -> Outcome:
    """Ask for what isn't there."""
    asked = random.choice(  # noqa: S311
        [
            (post("/nowhere", _TEXT), 404),
            (post("/ready", _TEXT), 405),
            (post("/models/none", b'{"inputs": "a"}'), 400),
            (post("/tag", _TEXT).replace(b"Host: localhost", b"Host: evil.example"), 403),
            (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        ]
    )
    return await _asked(port, *asked)


async def leaves(port: int) -> Outcome:
    """Ask, and hang up before the answer; every second time with a reset."""
    async with connected(port) as (_, writer):
        writer.write(post("/tag", json.dumps({"text": ["A sextant of Tregallack."] * 50}).encode()))
        await writer.drain()
        if random.random() < 0.5:  # noqa: S311
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        await asyncio.sleep(random.random() * 0.05)  # noqa: S311
    return NONE, True


async def asks_nothing(port: int) -> Outcome:
    """Connect, and hang up."""
    async with connected(port):
        return NONE, True


async def burst(port: int) -> Outcome:
    """Send a hundred requests at once, each on a connection of its own."""
    found = await asyncio.gather(*(_asked(port, post("/tag", _TEXT), 200) for _ in range(100)))
    refused = sum(status == "429" for status, _ in found)
    return "answered" if not refused else "answered, some with 429", all(good for _, good in found)


FAULTS: dict[Callable[[int], Awaitable[Outcome]], float] = {
    slow_body: 20,
    too_slow_body: 30,
    slow_head: 30,
    slow_stream: 30,
    slow_reader: 30,
    half_body: 3,
    half_stream: 3,
    huge_body: 10,
    huge_chunked_body: 10,
    long_text: 5,
    broken_json: 2,
    wrong_request: 2,
    leaves: 2,
    asks_nothing: 2,
    burst: 60,
}
"""Faults, each with the mean of the seconds between two of them."""
