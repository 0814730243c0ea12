"""Bytes on a server's socket: answers or a closed connection, never 500, and the next good request is answered."""

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
import uvicorn
from hypothesis import strategies as st
from uvicorn.server import ServerState

from nerbert.serve.connections import limited_connections
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.fuzz.asgi import AsgiServer, LoggedErrors, asgi_server
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated
from tests.serve.raw import OPENING, post
from tests.tagger.test_labels import NamesHead

pytestmark = pytest.mark.fuzz
TAG = post("/tag", b'{"text": "a ship", "labels": ["ship"]}')
LINE = b'{"text": "a ship"}\n'
SEEDS = (
    TAG, TAG * 3, b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n" + TAG,
    OPENING.format("labels=ship").encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(LINE), LINE),
    post("/tag", b"{}", "Expect: 100-continue"), post("/tag", b'{"text": "x"}', size=9),
    b"HEAD /ready HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /page/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
)  # fmt: skip
WORDS = (
    b"\r\n\r\n", b"\r\nContent-Length: 0", b"\r\nContent-Length: -1", b"\r\nContent-Length: " + b"9" * 5000,
    b"\r\nTransfer-Encoding: chunked", b"\r\nTransfer-Encoding: gzip", b"ffffffffffffffffffff\r\n", b"0\r\n",
    b"\r\nHost: \xff", b"\r\nX: " + b"a" * 70_000, b"\r\nA: b" * 2000, b"HTTP/1.1", b"HTTP/9.9", b"GET ",
    b"CONNECT x:1 HTTP/1.1\r\n", b" ", b"/" * 9000, b"%", b"http://elsewhere/", b"*", b"\r\n folded", b"\r\n\t",
    b": ", b"chunked", b"close", b"keep-alive",
)  # fmt: skip
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class RawServer:
    """An application behind a socket, served in this thread's own event loop."""

    def __init__(self, server: AsgiServer, runner: asyncio.Runner, port: int) -> None:
        self.logged, self._runner, self._port = server.logged, runner, port

    def ask(self, *parts: bytes, waits: bool = False) -> bytes:
        """Return all that comes back for bytes; the answer to the last is awaited, or else may be cut off."""
        return self._runner.run(self._asked(parts, waits))

    async def _asked(self, parts: tuple[bytes, ...], waits: bool) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for part in parts:
                writer.write(part)
                for _ in range(10):
                    await asyncio.sleep(0)  # the server reads it meanwhile
            if not waits:
                writer.write_eof()
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@contextmanager
def raw_server() -> Iterator[RawServer]:
    with asgi_server(Tagger(NamesHead(), SPLITTER, "en"), max_body=100_000) as server:
        logger, handler = logging.getLogger("uvicorn.error"), LoggedErrors(server.logged)
        logger.addHandler(handler)
        kind = limited_connections(600.0, 100)
        config = uvicorn.Config(
            server.app, http=kind, ws="none", lifespan="off", access_log=False, log_config=None, proxy_headers=False,
            server_header=False,
        )  # fmt: skip
        config.load()

        async def listen() -> asyncio.Server:
            connect = partial(kind, config, ServerState(), {})
            return await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)

        listening = server.runner.run(listen())
        try:
            yield RawServer(server, server.runner, listening.sockets[0].getsockname()[1])
        finally:
            listening.close()
            server.runner.run(listening.wait_closed())
            logger.removeHandler(handler)


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with raw_server() as found:
        yield found


def test_bytes(server: RawServer, fuzz: Fuzz) -> None:
    good = TAG.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)

    def check(case: tuple[bytes, int]) -> None:
        content, where = case
        cut = where * len(content) >> 10
        for answer in (server.ask(content), server.ask(content[:cut], content[cut:])):
            assert answer == b"" or _STATUS.match(answer), answer[:200]
            assert all(each < b"500" for each in _STATUS.findall(answer)), answer[:2000]
        assert not server.logged, server.logged
        answer = server.ask(good, waits=True)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b'"text":"ship"' in answer

    check((good, 100))
    fuzz(st.tuples(mutated(SEEDS, WORDS), st.integers(0, 1023)), check, share=0.5)
