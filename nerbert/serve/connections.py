"""Connections that end: uvicorn's HTTP protocol, which by itself waits forever for a request or a reader."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

_BODY = b'{"error":"too many connections; try again later","status":429,"request_id":""}'
_FULL = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_LEFT = 1.0
"""Seconds in which a refused client can read why."""


class LimitedConnection(H11Protocol):
    """A connection that ends if no whole head of a request comes in so many `seconds`, or nothing is read for as long.

    Further ones than `most` are refused (429), whatever they ask, and closed.
    """

    seconds, most = 60.0, 1024
    _idle: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the time run."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refused = True
            transport.write(_FULL)
            transport.write_eof()
            self.loop.call_later(_LEFT, transport.abort)
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on, unless it was refused."""
        if not self._refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """Stop the time when a request has begun."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """Let the time run again."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        for each in filter(None, (self._idle, self._stuck)):
            each.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the time run: the client doesn't read."""
        self._stuck = self.loop.call_later(self.seconds, self._end_unread, self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop the time: the client reads."""
        if self._stuck is not None:
            self._stuck.cancel()
        super().resume_writing()

    def _watch(self) -> None:
        """Let the time run while no request is in progress."""
        if self.cycle is None or self.cycle.response_complete:
            self._idle = self._idle or self.loop.call_later(self.seconds, self._end)
        elif self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _end_unread(self, before: int) -> None:
        """End it, unless the client has read something."""
        if (size := self.transport.get_write_buffer_size()) >= before:
            self.transport.abort()
        else:
            self._stuck = self.loop.call_later(self.seconds, self._end_unread, size)

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        self.transport.close()


def limited_connections(seconds: float, most: int) -> type[LimitedConnection]:
    """Return connections with limits, for uvicorn's `http`."""
    return type("Connection", (LimitedConnection,), {"seconds": seconds, "most": most})
