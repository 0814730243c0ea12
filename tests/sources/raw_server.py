"""A server for tests that sends bytes, whatever it is asked; it may never stop."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, repeat

_BLOCK = 1 << 14
_REQUEST = 1 << 16


@dataclass(frozen=True)
class Speech:
    """What a connection is sent: a beginning, then a block again and again if there is one, then it is closed."""

    begin: bytes
    forever: bytes = b""

    def blocks(self) -> Iterator[bytes]:
        """Yield it in blocks of a few kilobytes."""
        more = self.forever * (_BLOCK // len(self.forever) + 1) if self.forever else b""
        return chain([self.begin], repeat(more) if more else ())


@dataclass
class RawServer:
    """Its address, what its next connections are sent (the last one forever), and what it was asked and sent."""

    address: str
    speeches: list[Speech] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    sent: int = 0

    def answer(self, connection: socket.socket) -> None:
        """Read a request, and send the next speech until the other side hangs up."""
        with connection, suppress(OSError):
            self.asked.append(connection.recv(_REQUEST))
            speech = self.speeches.pop(0) if len(self.speeches) > 1 else self.speeches[0]
            for block in speech.blocks():
                connection.sendall(block)
                self.sent += len(block)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(_REQUEST):  # a reset would take the last bytes along
                pass


@contextmanager
def raw_serving() -> Iterator[RawServer]:
    """Provide a server of one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    server.answer(listener.accept()[0])

        threading.Thread(target=serve, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
