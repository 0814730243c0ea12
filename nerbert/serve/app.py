"""The server as an ASGI application: limits, tokens, errors in one shape, logs and metrics around operations.

Neither a text nor a token is ever logged. What goes wrong unforeseen is one line of JSON for the client, and a
traceback in the log.
"""

import asyncio
import hmac
import re
import secrets
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nerbert.errors import NerbertError, Overloaded, TimedOut, Unavailable
from nerbert.schema import parse_json, parse_strings
from nerbert.serve.metrics import Metrics
from nerbert.serve.openapi import describe
from nerbert.serve.protocol import Call, Gone, Operation
from nerbert.serve.service import INTERNAL, Service, log, message_of
from nerbert.serve.settings import is_loopback

_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_PACKED = 1024
"""Bytes of an answer from which on it is packed, for clients that take gzip."""
_FOR_BODY = 0.9
"""The share of the time limit in which a body must come."""
_PART = 1 << 16
"""Bytes of an answer that are sent at once."""
_DROPPED = 16 << 20
"""Bytes of a refused body that are read."""
_DROPPING = 2.0
"""Seconds for which they are read."""
_PAUSE = 0.05
"""Seconds before room for a part of a stream is looked for again."""
_GONE = 499
"""The status in logs of requests whose clients hung up, as nginx has it."""


@dataclass(slots=True)
class _Seen:
    """What is known of a request, for its log and its errors."""

    id: str
    started: float = field(default_factory=time.perf_counter)
    path: str = "other"
    status: int = 0
    held: int = 0
    call: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask: those with the `token` (anyone, if it is ""); pages of other `origins` too, if they are named.

    With `local` the server must be asked by a name of this machine: a page whose name leads here is not let in.
    """

    token: str = ""
    origins: Sequence[str] = ()
    local: bool = False


def application(
    service: Service, operations: Sequence[Operation], access: Access, metrics: Metrics,
    beside: Callable[[Service], AbstractAsyncContextManager[object]] = lambda _: nullcontext(),
) -> ASGIApp:  # fmt: skip
    """Return the application; its lifespan starts and stops the service, and what runs `beside` it."""
    metrics.watch(service.queue)
    description = to_json(describe(operations, token=bool(access.token)))
    shown = partial(Response, description, media_type="application/json")
    answering = _Answering(service)
    routes = [
        Route(each.path, partial(answering.reply, each), methods=[each.method],
              middleware=[] if each.streams else [Middleware(GZipMiddleware, minimum_size=_PACKED, compresslevel=4)])
        for each in operations
    ]  # fmt: skip
    routes.append(Route("/openapi.json", lambda _: shown()))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        async with beside(service):
            yield
        await service.stop()

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_fault})
    app.router.redirect_slashes = False
    opened = [compile_path(each.path)[0] for each in operations if each.open]
    gate = _Gate(app, service, access, opened, metrics)
    if not access.origins:
        return gate
    return CORSMiddleware(
        gate, allow_origins=list(access.origins), allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )  # fmt: skip


class _Gate:
    """What every request passes: it gets a number, may be refused, is counted and logged."""

    def __init__(
        self, app: ASGIApp, service: Service, access: Access, opened: Sequence[re.Pattern[str]], metrics: Metrics
    ) -> None:  # fmt: skip
        self._app, self._service, self._access, self._opened, self._metrics = app, service, access, opened, metrics
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        seen = scope["nerbert"] = _Seen(given if _ID.fullmatch(given) else secrets.token_hex(8))
        body = _Body(receive)
        reply = partial(self._send, send, seen, None if b"expect" in headers else body)
        refusal = self._refusal(scope, headers, seen)
        self._busy += refusal is None
        try:
            await (refusal or self._app)(scope, body, reply)
        except (Gone, ClientDisconnect):
            seen.status = _GONE
        finally:
            self._busy -= refusal is None
            self._service.held -= seen.held
            self._note(scope["method"], seen)

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes], seen: _Seen) -> Response | None:
        """Return why a request isn't let in."""
        if any(each.match(scope["path"]) for each in self._opened):
            return None
        if self._busy >= self._service.limits.max_requests:
            return fault(Overloaded(f"{self._busy:,} requests are in progress; try again later"), seen)
        origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        if origin and origin.partition("://")[2] != host and not {origin, "*"} & {*self._access.origins}:
            return fault(HTTPException(403, f"pages of {origin!r:.80} may not ask; allow them with --cors"), seen)
        if self._access.local and not _is_local(host):
            why = f"this server answers as 127.0.0.1 or localhost, not as {host!r:.80}; give it a token, or --no-token"
            return fault(HTTPException(403, why), seen)
        if self._access.token:
            token = _token(headers.get(b"authorization", b""))
            if not hmac.compare_digest(token, self._access.token.encode()):
                why = "a token is needed: send it as `Authorization: Bearer TOKEN`, or as the password of any user"
                return fault(HTTPException(401, why, {"WWW-Authenticate": "Bearer"}), seen)
        return None

    async def _send(self, send: Send, seen: _Seen, body: "_Body | None", message: Message) -> None:
        """Send a part of an answer; of a refusal, after the rest of the body, or the client might not read it."""
        if message["type"] == "http.response.start":
            seen.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", seen.id.encode())]
            if body and seen.status >= 400 and seen.status != 408:
                await body.drop()
        content, rest = message.get("body", b""), message.get("more_body", False)
        for start in range(0, len(content) - _PART, _PART):  # uvicorn waits for the client between two of them
            await send({"type": "http.response.body", "body": content[start : start + _PART], "more_body": True})
            message = {"type": "http.response.body", "body": content[start + _PART :], "more_body": rest}
        await send(message)

    def _note(self, method: str, seen: _Seen) -> None:
        took = time.perf_counter() - seen.started
        call = seen.call
        model = call.answers.served.name if call and call.answers else ""
        words = call.words if call else 0
        self._metrics.request(seen.path, seen.status, took, model, words)
        log.info("%s %s %s %d %.1f ms %d words", seen.id, method, seen.path, seen.status, took * 1000, words)


class _Body:
    """What receives a request's body, and knows whether all of it came."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._more = receive, True

    async def __call__(self) -> Message:
        """Receive the next part."""
        message = await self._receive()
        self._more = message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Receive the rest, up to a bound."""
        left = _DROPPED
        with suppress(TimeoutError):
            async with asyncio.timeout(_DROPPING):
                while self._more and left > 0:
                    left -= len((await self()).get("body", b""))


def _token(authorization: bytes) -> bytes:
    """Return the token in a header `Authorization`, where it may be a user's password; b"" if there is none."""
    kind, _, token = authorization.partition(b" ")
    if kind.lower() == b"basic":
        with suppress(ValueError):
            return b64decode(token).partition(b":")[2]
    return token.strip() if kind.lower() == b"bearer" else b""


def _is_local(host: str) -> bool:
    """Return whether a header `Host` names this machine itself."""
    with suppress(ValueError):
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    return False


class _Answering:
    """Reads and checks what an operation takes, calls it, and makes its answer a response."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def reply(self, operation: Operation, request: Request) -> Response:
        """Return the response; whatever fails, it is an error in the one shape."""
        seen: _Seen = request.scope["nerbert"]
        seen.path = operation.path
        try:
            async with asyncio.timeout(None if operation.streams else self._service.limits.timeout):
                return await self._answer(operation, request, seen)
        except (Gone, ClientDisconnect):
            raise
        except TimeoutError:
            return fault(TimedOut("the answer takes longer than this server's limit"), seen)
        except (NerbertError, HTTPException) as error:
            return fault(error, seen)
        except Exception as error:
            log.exception("%s failed", seen.id, exc_info=error)
            return fault(NerbertError(INTERNAL), seen)

    async def _answer(self, operation: Operation, request: Request, seen: _Seen) -> Response:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "the body is packed; send it as it is")
        query = parse_strings(dict(request.query_params), operation.query, "address")
        call = seen.call = Call(self._service, query, request.path_params, request.receive)
        if operation.streams:
            call.content, call.release = self._parts(request, seen), partial(self._hold, seen=seen, back=True)
            return _Lines(await operation.run(call))
        if operation.body is not None:
            call.body = parse_json(await self._body(request, seen), operation.body, "body")
        found = await operation.run(call)
        if isinstance(found, Response):
            return found
        response = Response(await call.made(partial(to_json, found)), media_type="application/json")
        if answers := call.answers:
            response.headers["Server-Timing"] = f"queue;dur={answers.queued:.1f}, model;dur={answers.computed:.1f}"
        return response

    async def _body(self, request: Request, seen: _Seen) -> bytes:
        """Return the body; raise HTTPException for one that is too long or too slow, Overloaded for too many."""
        limits, body = self._service.limits, bytearray()
        self._check_room(int(request.headers.get("content-length") or 0))
        try:
            async with asyncio.timeout(limits.timeout * _FOR_BODY):
                async for part in request.stream():
                    self._hold(len(part), seen)
                    body += part
                    self._check_room(len(body))
        except TimeoutError:
            raise HTTPException(408, "the body didn't come to its end in time") from None
        return bytes(body)

    def _check_room(self, size: int) -> None:
        """Raise HTTPException or Overloaded for a body of so many bytes that is too long, or one too many."""
        limits, held = self._service.limits, self._service.held
        if size > limits.max_body:
            raise HTTPException(413, f"the body is longer than {limits.max_body:,} bytes; send several")
        if held > limits.max_held:
            raise Overloaded(f"requests of {held:,} bytes are in progress; try again later")

    async def _parts(self, request: Request, seen: _Seen) -> AsyncIterator[bytes]:
        """Yield the body as it comes, while there is room for it; raise Gone if the client hangs up."""
        service, more = self._service, True
        while more:
            try:
                async with asyncio.timeout(service.limits.timeout):
                    message = await request.receive()
                    part: bytes = message.get("body", b"")
                    while service.held + len(part) > service.limits.max_held:
                        await asyncio.sleep(_PAUSE)
            except TimeoutError:
                raise TimedOut("no line came in time, or there was no room for it; the stream ends here") from None
            if message["type"] == "http.disconnect":
                raise Gone
            if service.draining:
                raise Unavailable("the server is stopping; the stream ends here")
            self._hold(len(part), seen)
            yield part
            more = message.get("more_body", False)

    def _hold(self, size: int, seen: _Seen, *, back: bool = False) -> None:
        """Count bytes that a request holds, or gives back."""
        change = -size if back else size
        seen.held += change
        self._service.held += change


class _Lines(Response):
    """Lines that are sent as they are made; Starlette's own would read the request's body meanwhile."""

    def __init__(self, lines: AsyncGenerator[bytes, None]) -> None:
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._lines):
            async for line in self._lines:
                await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _http_fault(request: Request, error: Any) -> Response:
    """Return the response to a path or a method that isn't there."""
    return fault(error, request.scope["nerbert"])


def fault(error: NerbertError | HTTPException, seen: _Seen) -> Response:
    """Return an error in the one shape, which the clients of all protocols read."""
    if isinstance(error, HTTPException):
        message, status, headers = str(error.detail), error.status_code, dict(error.headers or {})
    else:
        message, status, headers = message_of(error), error.http_status, {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after)
    body = to_json({"error": message, "status": status, "request_id": seen.id})
    return Response(body, status, headers, "application/json")
