"""Requests that come whether or not the server keeps up: Poisson arrivals, `python serving_load.py PORT BODIES RATE S`.

The times of arrival are drawn before anything is sent, so a server that slows down doesn't slow them. Each takes a
connection that is free, or opens one. Latency counts from the time of arrival. Prints one line of JSON: answers by
status, latencies of those that were accepted, how late requests were sent, and what this process took.
"""

import asyncio
import gc
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_PATIENCE = 75.0
"""Seconds after the last arrival until what has no answer counts as unanswered."""


def main() -> None:
    """Send, and print."""
    port, bodies, rate, seconds = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    head = b"POST /tag HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    gc.disable()
    load = Load(int(port), [head % (len(each), each) for each in lines])
    asyncio.run(load.run(float(rate), float(seconds)))
    print(json.dumps(load.summary()))


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th, and the largest, rounded."""
    ordered = sorted(values) or [0.0]
    last = len(ordered) - 1
    return {
        name: round(ordered[round(last * share)], 3)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    }


class Load:
    """Connections to a server, and what came of the requests; times are seconds."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port, self._requests = port, requests
        self.free, self.pending, self.opened, self.sent = list[_Connection](), 0, 0, 0
        self.statuses, self.bare, self.accepted, self.refused = Counter[int](), 0, list[float](), list[float]()
        self.late = list[float]()
        self._opening = set[asyncio.Task[None]]()

    async def run(self, rate: float, seconds: float) -> None:
        """Send so many requests a second."""
        self.loop = asyncio.get_running_loop()
        chance = random.Random(1)  # noqa: S311
        due = start = self.loop.time()
        while due < start + seconds:
            due += chance.expovariate(rate)
            if (left := due - self.loop.time()) > 0:
                await asyncio.sleep(left)
            self._send(due)
        end = self.loop.time() + _PATIENCE
        while self.pending and self.loop.time() < end:
            await asyncio.sleep(0.05)
        self.statuses[0] += self.pending

    def _send(self, due: float) -> None:
        self.pending += 1
        self.sent += 1
        while self.free:
            if not (connection := self.free.pop()).transport.is_closing():
                connection.send(self._next(), due)
                return
        self._opening.add(task := self.loop.create_task(self._open(due)))
        task.add_done_callback(self._opening.discard)

    def _next(self) -> bytes:
        return self._requests[self.sent % len(self._requests)]

    async def _open(self, due: float) -> None:
        self.opened += 1
        try:
            _, connection = await self.loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except OSError:
            self.note(0, due, retry=False)
        else:
            connection.send(self._next(), due)

    def note(self, status: int, due: float, *, retry: bool) -> None:
        """Count an answer; 0 is none."""
        self.pending -= 1
        self.statuses[status] += 1
        self.bare += status == 429 and not retry
        (self.accepted if status == 200 else self.refused).append(self.loop.time() - due)

    def summary(self) -> dict[str, object]:
        """Return what came of it."""
        return {
            "sent": self.sent,
            "statuses": dict(self.statuses),
            "without_retry_after": self.bare,
            "connections": self.opened,
            "accepted_seconds": percentiles(self.accepted),
            "refused_seconds": percentiles(self.refused),
            "late_seconds": percentiles(self.late),
            "generator_cpu_seconds": round(time.process_time(), 2),
        }


class _Connection(asyncio.Protocol):
    """A connection with one request in progress, or none."""

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self._load, self._buffer, self._due = load, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self, request: bytes, due: float) -> None:
        """Send a request."""
        self._due = due
        self._load.late.append(self._load.loop.time() - due)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = buffer.find(b"content-length: ", 0, head) + len(b"content-length: ")
        if len(buffer) < head + 4 + int(buffer[length : buffer.find(b"\r", length)]):
            return
        self._buffer, due, self._due = b"", self._due, 0.0
        self._load.note(int(buffer[9:12]), due, retry=buffer.find(b"retry-after: ", 0, head) > 0)
        if not self.transport.is_closing():
            self._load.free.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self._due:
            self._load.note(0, self._due, retry=False)


if __name__ == "__main__":
    main()
